//! Resources and meters made on demand, to try configurations and to make load.
//!
//! The discovery `synthetic://N` lists N resources, the pollster `synthetic` measures them. What goes wrong
//! with services and plugins in real life can be asked for: by rates (option `faults`) among the
//! resources of `synthetic`, or by name with `synthetic.faulty` and `synthetic-faulty://`, whose
//! resources and listings are the faults themselves.

mod draw;
mod fault;
mod fault_draw;
mod faulty;
mod listing;
mod meters;
mod options;

use nephoscope_plugin::{Family, OptionsSpec, Registration, register};

register!(Registration::Family(
    Family::new(
        "synthetic",
        "Resources and meters made on demand, to try configurations and to make load"
    )
    .opt_in()
    .options(OptionsSpec::of::<options::Options>())
));

#[cfg(test)]
mod tests {
    use nephoscope_plugin::testing::Conformance;

    #[tokio::test]
    async fn the_family_conforms() {
        Conformance::of("synthetic")
            .listing("synthetic://250")
            .listing("synthetic-faulty://none")
            .check()
            .await;
    }
}
