use async_trait::async_trait;
use lakewright_ports::{Callback, CallbackError, CallbackErrorKind};

use crate::{
    client::{About, Client, Failure, Request},
    fault::Fault,
    step_functions::Answer,
};

impl Failure for CallbackError {
    fn of(fault: Fault, operation: &'static str, _: &About) -> Self {
        Self {
            kind: CallbackErrorKind::Retryable,
            operation,
            message: fault.to_string(),
        }
    }

    fn describe(&self) -> String {
        self.message.clone()
    }
}

impl Client {
    async fn answer(
        &self,
        operation: &'static str,
        token: &str,
        answer: Option<Answer>,
    ) -> Result<(), CallbackError> {
        let request = Request {
            operation,
            about: About::Token(token.to_owned()),
            conditional: None,
            voids: None,
            has_body: false,
        };
        let token = token.to_owned();
        self.exchange(request, move |state, _| {
            let given = state.step_functions.give(&token, answer);
            given.map_err(|kind| CallbackError {
                kind,
                operation,
                message: "TaskTimedOut".to_owned(),
            })
        })
        .await
    }
}

#[async_trait]
impl Callback for Client {
    async fn succeed(&self, token: &str, output: &str) -> Result<(), CallbackError> {
        let answer = Answer::Success(output.to_owned());
        self.answer("SendTaskSuccess", token, Some(answer)).await
    }

    async fn fail(&self, token: &str, error: &str, cause: &str) -> Result<(), CallbackError> {
        let answer = Answer::Failure(error.to_owned(), cause.to_owned());
        self.answer("SendTaskFailure", token, Some(answer)).await
    }

    async fn heartbeat(&self, token: &str) -> Result<(), CallbackError> {
        self.answer("SendTaskHeartbeat", token, None).await
    }
}
