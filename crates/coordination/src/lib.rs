//! Members, plans and ownership: who polls what.
