//! Secrets in the Parameter Store of AWS Systems Manager.

use aws_sdk_ssm::{
    Client,
    types::{Parameter, ParameterType},
};
use lakewright_core::{config::SecretName, operations::Secret};
use lakewright_ports::{SecretsError, ServiceErrorKind};

use super::failed;

/// Separates a version's number from its time.
const AT: char = '@';

/// A version of a parameter, or its current one, with the version's id.
pub(super) async fn read(
    client: &Client,
    name: &SecretName,
    version: Option<&str>,
) -> Result<(String, Secret), SecretsError> {
    let other = |message: String| SecretsError::new(name, ServiceErrorKind::Other, message);
    let selected = match version {
        None => name.name().to_owned(),
        Some(id) => {
            let number = id.split(AT).next().unwrap_or(id);
            format!("{}:{number}", name.name())
        }
    };
    let request = client
        .get_parameter()
        .name(selected)
        .with_decryption(true)
        .send();
    let output = request.await;
    let output = output.map_err(|error| failed(name, &error, "ssm:GetParameter"))?;
    let parameter = output
        .parameter
        .unwrap_or_else(|| Parameter::builder().build());
    match parameter.r#type() {
        Some(ParameterType::SecureString) => {}
        kind => {
            let kind = kind.map_or("nothing", ParameterType::as_str);
            return Err(other(format!(
                "the parameter is a {kind}, and a secret is a SecureString"
            )));
        }
    }
    let id = id(&parameter).ok_or_else(|| other("the answer names no version".to_owned()))?;
    if let Some(version) = version
        && version != id
    {
        return Err(other(format!(
            "version {version} is gone: the parameter was deleted and made again, and is {id} now"
        )));
    }
    let secret = parameter
        .value()
        .and_then(|text| Secret::new(text.as_bytes()));
    let secret = secret.ok_or_else(|| other("the parameter is empty".to_owned()))?;
    Ok((id, secret))
}

/// The id of a version: its number and when it was made, because the numbers of a parameter that was deleted and made again begin
/// with 1 again.
fn id(parameter: &Parameter) -> Option<String> {
    let made = parameter.last_modified_date()?;
    let made = jiff::Timestamp::from_nanosecond(made.as_nanos()).ok()?;
    // It comes as a fraction of seconds, whose last digits are not exact.
    let made = made.round(jiff::Unit::Millisecond).ok()?;
    Some(format!("{}{AT}{made}", parameter.version()))
}
