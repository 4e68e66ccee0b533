//! Equal questions at the same time are one: whoever comes while it is being asked waits for the same answer.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::OnceCell;

/// What is being asked, by question. Never more than there are askers, whose number is limited elsewhere.
#[derive(Debug)]
pub(crate) struct Flights<T> {
    flying: Mutex<HashMap<Box<[u8]>, Flight<T>>>,
}

#[derive(Debug)]
struct Flight<T> {
    outcome: Arc<OnceCell<T>>,
    aboard: usize,
}

/// Someone's place aboard: leaves when it is dropped, with an outcome or without.
struct Seat<'a, T> {
    flights: &'a Flights<T>,
    question: Box<[u8]>,
    outcome: Arc<OnceCell<T>>,
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self { flying: Mutex::default() }
    }
}

impl<T: Clone> Flights<T> {
    /// Asks, unless the same is being asked already. Where whoever asks gives up, another that waits asks in its place.
    pub(crate) async fn join(&self, question: Box<[u8]>, ask: impl Future<Output = T>) -> T {
        let seat = self.board(question);
        seat.outcome.get_or_init(|| ask).await.clone()
    }

    fn board(&self, question: Box<[u8]>) -> Seat<'_, T> {
        let mut flying = self.flying();
        // One that has landed is of the past: what is asked after an answer came may be answered otherwise.
        let landed = flying.get(&question).is_some_and(|flight| flight.outcome.initialized());
        if landed {
            flying.remove(&question);
        }
        let new = || Flight { outcome: Arc::default(), aboard: 0 };
        let flight = flying.entry(question.clone()).or_insert_with(new);
        flight.aboard += 1;
        Seat { flights: self, question, outcome: flight.outcome.clone() }
    }
}

impl<T> Flights<T> {
    fn flying(&self) -> MutexGuard<'_, HashMap<Box<[u8]>, Flight<T>>> {
        self.flying.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Drop for Seat<'_, T> {
    fn drop(&mut self) {
        let mut flying = self.flights.flying();
        // Another flight may have the question by now.
        let own = |flight: &&mut Flight<T>| Arc::ptr_eq(&flight.outcome, &self.outcome);
        let Some(flight) = flying.get_mut(&self.question).filter(own) else { return };
        flight.aboard -= 1;
        if flight.aboard == 0 || flight.outcome.initialized() {
            flying.remove(&self.question);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        future::{pending, ready},
        pin::pin,
        task::{Context, Poll, Waker},
    };
    use tokio::sync::oneshot;

    fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn question(text: &str) -> Box<[u8]> {
        text.as_bytes().into()
    }

    #[test]
    fn who_comes_meanwhile_shares_the_outcome() {
        let flights = Flights::default();
        let (answer, answered) = oneshot::channel::<u32>();
        let mut first = pin!(flights.join(question("a"), async { answered.await.unwrap() }));
        let mut second = pin!(flights.join(question("a"), async { panic!("the same is being asked") }));
        assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
        assert_eq!(poll(pin!(flights.join(question("b"), ready(2)))), Poll::Ready(2), "another question");
        answer.send(1).unwrap();
        assert_eq!(poll(first.as_mut()), Poll::Ready(1));
        assert_eq!(poll(pin!(flights.join(question("a"), ready(3)))), Poll::Ready(3), "too late for that");
        assert_eq!(poll(second.as_mut()), Poll::Ready(1));
        assert!(flights.flying().is_empty());
    }

    #[test]
    fn where_the_asker_gives_up_another_asks() {
        let flights = Flights::default();
        let mut first = Box::pin(flights.join(question("a"), pending()));
        let mut second = pin!(flights.join(question("a"), ready(2)));
        assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
        drop(first);
        assert_eq!(poll(second.as_mut()), Poll::Ready(2));
        assert!(flights.flying().is_empty());
    }

    #[test]
    fn nothing_is_left_of_those_who_gave_up() {
        let flights = Flights::<u32>::default();
        let mut waiting: Vec<_> = (0..5).map(|_| Box::pin(flights.join(question("a"), pending()))).collect();
        assert!(waiting.iter_mut().all(|one| poll(one.as_mut()).is_pending()));
        assert_eq!(flights.flying().len(), 1);
        waiting.clear();
        assert!(flights.flying().is_empty());
    }
}
