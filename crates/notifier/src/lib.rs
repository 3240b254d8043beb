//! Takes samples from cycles and gets them to publishers.
