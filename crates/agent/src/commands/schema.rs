//! `nephoscope schema`: prints the JSON schema of polling.yaml.

use crate::error::{Exit, ProgramError};
use crate::output::print;
use crate::settings::{Origin, families, publishers};

/// Prints the schema, which includes the options of this program's plugins.
pub(crate) fn schema(origin: &Origin) -> Result<Exit, ProgramError> {
    let schema = nephoscope_config::schema(&families(&origin.catalog), &publishers(&origin.catalog));
    // `{:#}` indents a JSON value.
    print(format!("{schema:#}\n").as_bytes())?;
    Ok(Exit::Done)
}
