//! Combines the option errors of plugins and publishers, and locates them in the files.

use nephoscope_config::{Loaded, OptionError, OptionsOf, locate};
use nephoscope_plugin::OptionsError;
use nephoscope_polling::plugins::LoadErrors;

use crate::error::ProgramError;
use crate::publishers::PublishersError;
use crate::settings::SettingsError;

/// Returns the plugins and publishers, or the errors. Option errors of both come first and are reported together.
pub(crate) fn combine<A, B>(
    loaded: &Loaded,
    plugins: Result<A, LoadErrors>,
    publishers: Result<B, PublishersError>,
) -> Result<(A, B), ProgramError> {
    let mut options = Vec::new();
    let plugins = match plugins {
        Ok(plugins) => Some(plugins),
        Err(errors) => {
            let errors = errors.into_iter();
            options
                .extend(errors.map(|error| option(OptionsOf::Family(error.family.to_owned()), error.error)));
            None
        }
    };
    let publishers = match publishers {
        Err(PublishersError::Options(errors)) => {
            let errors = errors.into_iter();
            options.extend(errors.map(|(index, error)| option(OptionsOf::Publisher(index), error)));
            None
        }
        other => Some(other),
    };
    match (plugins, publishers) {
        (Some(plugins), Some(publishers)) => Ok((plugins, publishers?)),
        _ => Err(SettingsError::Invalid {
            errors: locate(loaded, &options),
        }
        .into()),
    }
}

fn option(of: OptionsOf, error: OptionsError) -> OptionError {
    OptionError {
        of,
        option: error.path,
        message: error.message,
    }
}
