//! A function that cannot start says why: to Lambda, which shows it to whoever invokes the function, and on standard error.

use std::{error::Error as StdError, ffi::OsString, fmt};

use lambda_runtime::{Diagnostic, Error};
use lambda_runtime_api_client::{Client, body::Body, build_request};

use crate::adapters::failure::chain;

/// <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>
const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";
const PATH: &str = "/2018-06-01/runtime/init/error";

/// Where the runtime's API is, if there is one.
pub(crate) fn runtime_api(variables: &[(OsString, OsString)]) -> Option<String> {
    let mut named = variables.iter().filter(|(name, _)| name == RUNTIME_API);
    let (_, address) = named.next()?;
    address.to_str().map(str::to_owned)
}

/// Why a function does not start. A program that fails ends with the `Debug` of its error, so that is the text.
struct NoStart(String);

impl fmt::Debug for NoStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for NoStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for NoStart {}

/// Posts a failure to the runtime's API, and returns the error that the function ends with.
pub(crate) async fn report(
    runtime: Option<String>,
    name: &str,
    failure: &(impl StdError + 'static),
) -> Error {
    let message = chain(failure);
    let mut said = message.clone();
    if let Some(runtime) = runtime
        && let Err(error) = post(&runtime, name, message).await
    {
        said = format!("{said} (and Lambda was not told: {error})");
    }
    NoStart(said).into()
}

async fn post(runtime: &str, name: &str, message: String) -> Result<(), Error> {
    let error_type = format!("Lakewright.{name}");
    let request = build_request()
        .method("POST")
        .uri(PATH)
        .header("lambda-runtime-function-error-type", &error_type)
        .body(Body::from(serde_json::to_vec(&Diagnostic {
            error_type,
            error_message: message,
        })?))?;
    let address = format!("http://{runtime}").parse()?;
    let client = Client::builder().with_endpoint(address).build()?;
    let status = client.call(request).await?.status();
    if status.is_success() {
        Ok(())
    } else {
        Err(format!("the runtime's API answered {status}").into())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Read, Write},
        net::TcpListener,
        thread,
    };

    use crate::{handler::serve, rekey::Function};

    /// Answers one request, and gives its first line and its body.
    fn one_request(listener: &TcpListener) -> (String, String) {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut first = String::new();
        reader.read_line(&mut first).unwrap();
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let answer = "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        stream.write_all(answer.as_bytes()).unwrap();
        (first, String::from_utf8(body).unwrap())
    }

    #[tokio::test]
    async fn a_function_that_cannot_start_tells_lambda_why() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let lambda = thread::spawn(move || one_request(&listener));
        let variables = [
            ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
        ];
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        let error = serve(variables, Function::start, Function::handle)
            .await
            .unwrap_err();
        let (first, body) = lambda.join().unwrap();
        assert_eq!(first, "POST /2018-06-01/runtime/init/error HTTP/1.1\r\n");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["errorType"], "Lakewright.SettingsRefused");
        let message = body["errorMessage"].as_str().unwrap();
        assert!(
            message.contains("LAKEWRIGHT_CONFIG is not set: it says where"),
            "{message}"
        );
        assert_eq!(
            format!("{error:?}"),
            message,
            "the program ends with its text"
        );
    }
}
