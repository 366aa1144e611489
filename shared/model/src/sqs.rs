use std::{collections::BTreeMap, time::Duration};

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};

/// A message that was received and is not deleted yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The message's identity, the same at every delivery.
    pub id: u64,
    /// What was sent.
    pub body: String,
    /// How often it has been received, including this time.
    pub receives: u32,
}

#[derive(Debug)]
struct Message {
    body: String,
    receives: u32,
    visible_at: Timestamp,
}

#[derive(Debug)]
struct Line {
    visibility: SignedDuration,
    redrive: Option<(u32, String)>,
    messages: BTreeMap<u64, Message>,
}

/// SQS standard queues: at least once, in any order, with a visibility timeout and a dead-letter queue.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/standard-queues.html>
#[derive(Debug, Default)]
pub struct ModelSqs {
    queues: BTreeMap<String, Line>,
    serial: u64,
}

impl ModelSqs {
    /// Creates a queue. After `redrive.0` receives, a message moves to the queue `redrive.1`.
    pub fn create(&mut self, url: &str, visibility: Duration, redrive: Option<(u32, &str)>) {
        let line = Line {
            visibility: SignedDuration::try_from(visibility).unwrap_or(SignedDuration::MAX),
            redrive: redrive.map(|(most, url)| (most, url.to_owned())),
            messages: BTreeMap::new(),
        };
        self.queues.insert(url.to_owned(), line);
    }

    /// Adds a message to a queue, visible from `visible_at` on. Returns `false` if there is no such queue.
    pub fn send(&mut self, url: &str, body: String, visible_at: Timestamp) -> bool {
        let Some(line) = self.queues.get_mut(url) else {
            return false;
        };
        self.serial += 1;
        let message = Message {
            body,
            receives: 0,
            visible_at,
        };
        line.messages.insert(self.serial, message);
        true
    }

    /// At most `most` of the visible messages, in any order. Each becomes invisible for the queue's visibility timeout,
    /// except those that the queue delivers again at once (at the rate `duplicates`). Also returns the number of these,
    /// and of messages that moved to the dead-letter queue.
    pub fn receive(
        &mut self,
        url: &str,
        most: usize,
        now: Timestamp,
        duplicates: f64,
        rng: &mut Rng,
    ) -> (Vec<Received>, u64, u64) {
        let Some(line) = self.queues.get_mut(url) else {
            return (Vec::new(), 0, 0);
        };
        let mut visible: Vec<u64> = line
            .messages
            .iter()
            .filter(|(_, message)| message.visible_at <= now)
            .map(|(id, _)| *id)
            .collect();
        rng.shuffle(&mut visible);
        let (mut received, mut again, mut dead) = (Vec::new(), 0, Vec::new());
        for id in visible {
            if received.len() == most {
                break;
            }
            let Some(message) = line.messages.get_mut(&id) else {
                continue;
            };
            if let Some((limit, _)) = &line.redrive
                && message.receives >= *limit
            {
                dead.extend(line.messages.remove(&id));
                continue;
            }
            message.receives += 1;
            received.push(Received {
                id,
                body: message.body.clone(),
                receives: message.receives,
            });
            if rng.f64() < duplicates {
                again += 1;
            } else {
                message.visible_at = now + line.visibility;
            }
        }
        let target = line.redrive.as_ref().map(|(_, url)| url.clone());
        let buried = dead.len() as u64;
        for message in dead {
            if let Some(target) = &target {
                self.send(target, message.body, now);
            }
        }
        (received, again, buried)
    }

    /// Deletes a message. A message that was deleted before counts as deleted.
    pub fn delete(&mut self, url: &str, id: u64) {
        if let Some(line) = self.queues.get_mut(url) {
            line.messages.remove(&id);
        }
    }

    /// How many messages a queue holds, visible or not.
    pub fn len(&self, url: &str) -> usize {
        self.queues.get(url).map_or(0, |line| line.messages.len())
    }

    /// Whether a queue holds no message, visible or not.
    pub fn is_empty(&self, url: &str) -> bool {
        self.len(url) == 0
    }

    /// Moves every message of a dead-letter queue to another queue (`StartMessageMoveTask`).
    pub fn redrive(&mut self, from: &str, to: &str, now: Timestamp) {
        let messages = self
            .queues
            .get_mut(from)
            .map(|line| std::mem::take(&mut line.messages))
            .unwrap_or_default();
        for message in messages.into_values() {
            self.send(to, message.body, now);
        }
    }

    /// When the next message of a queue becomes visible.
    pub fn next_visible(&self, url: &str) -> Option<Timestamp> {
        self.queues
            .get(url)?
            .messages
            .values()
            .map(|message| message.visible_at)
            .min()
    }
}
