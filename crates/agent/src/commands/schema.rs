//! `nephoscope schema`: the JSON schema of polling.yaml.

use crate::error::{Exit, ProgramError};
use crate::output::print;
use crate::settings::{Origin, families, publishers};

/// Prints the schema, with the options of this program's plugins.
pub(crate) fn schema(origin: &Origin) -> Result<Exit, ProgramError> {
    let schema = nephoscope_config::schema(&families(&origin.catalog), &publishers(&origin.catalog));
    // `{:#}` of a JSON value is JSON with indentation.
    print(format!("{schema:#}\n").as_bytes())?;
    Ok(Exit::Done)
}
