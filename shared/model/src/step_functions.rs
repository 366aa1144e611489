use std::collections::BTreeMap;

use lakewright_ports::CallbackErrorKind;

/// The answer to a waiting state machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Success, with this output.
    Success(String),
    /// Failure, with an error name and its cause.
    Failure(String, String),
}

/// State machines that wait for the answer to their task tokens. Each token is answered once.
#[derive(Debug, Default)]
pub struct ModelStepFunctions {
    waiting: BTreeMap<String, Option<Answer>>,
}

impl ModelStepFunctions {
    /// A state machine starts to wait.
    pub fn wait(&mut self, token: &str) {
        self.waiting.insert(token.to_owned(), None);
    }

    /// The answer to a token, if there is one yet.
    pub fn answer(&self, token: &str) -> Option<&Answer> {
        self.waiting.get(token)?.as_ref()
    }

    pub(super) fn give(
        &mut self,
        token: &str,
        answer: Option<Answer>,
    ) -> Result<(), CallbackErrorKind> {
        match self.waiting.get_mut(token) {
            Some(place @ None) => {
                *place = answer;
                Ok(())
            }
            _ => Err(CallbackErrorKind::Gone),
        }
    }
}
