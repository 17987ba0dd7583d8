//! Questions on threads of their own.

use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::{Keychain, Unavailable};

/// A question that was put to a keychain.
#[derive(Debug)]
pub struct Asked<T> {
    answer: Mutex<Receiver<Result<T, Unavailable>>>,
}

/// Puts a question to a keychain, on a thread that is left alone if it hangs: nothing waits for it at the end of the
/// program.
pub fn ask<T: Send + 'static>(
    keychain: Arc<dyn Keychain>,
    question: impl FnOnce(&dyn Keychain) -> Result<T, Unavailable> + Send + 'static,
) -> Asked<T> {
    let (sender, answer) = sync_channel(1);
    let refused = sender.clone();
    let started = std::thread::Builder::new()
        .name("keychain".to_owned())
        .spawn(move || {
            // Nobody waiting any more means that it took too long.
            let _ = sender.send(question(keychain.as_ref()));
        });
    if let Err(error) = started {
        let _ = refused.send(Err(Unavailable::Failed(error.to_string())));
    }
    Asked {
        answer: Mutex::new(answer),
    }
}

impl<T> Asked<T> {
    /// The answer, if it comes within this time. It is given once; afterwards, and if the keychain broke down over
    /// the question, the answer is that it failed.
    pub fn wait(&self, within: Duration) -> Option<Result<T, Unavailable>> {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        match answer.recv_timeout(within) {
            Ok(answer) => Some(answer),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                Some(Err(Unavailable::Failed("it gave no answer".to_owned())))
            }
        }
    }
}
