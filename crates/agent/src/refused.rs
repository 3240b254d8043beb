//! The options that plugins and publishers do not take: all at once, with their places in the files.

use nephoscope_config::{Loaded, OptionsOf, RefusedOption, refused};
use nephoscope_plugin::OptionsError;
use nephoscope_polling::plugins::LoadErrors;

use crate::error::ProgramError;
use crate::publishers::PublishersError;
use crate::settings::SettingsError;

/// Plugins and publishers if both could be made. Of what went wrong, options that are not taken come first: whoever has
/// to write them anew sees all of them.
pub(crate) fn both<A, B>(
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
        _ => Err(SettingsError::Wrong {
            errors: refused(loaded, &options),
        }
        .into()),
    }
}

fn option(of: OptionsOf, error: OptionsError) -> RefusedOption {
    RefusedOption {
        of,
        option: error.path,
        message: error.message,
    }
}
