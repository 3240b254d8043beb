//! Synthetic resources and meters, to try configurations and to generate load.
//!
//! The discovery `synthetic://N` lists N resources, and the pollster `synthetic` measures them. Faults of services and
//! plugins can be injected: by rates (option `faults`) among the resources of `synthetic`, or by name with
//! `synthetic.faulty` and `synthetic-faulty://`.

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
        "Synthetic resources and meters, to try configurations and to generate load"
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
            .discovery_url("synthetic://250")
            .discovery_url("synthetic-faulty://none")
            .check()
            .await;
    }
}
