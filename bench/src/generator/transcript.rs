//! What a server sent to one client, byte for byte, and when it could: a floor sends the same.

use super::wire::{self, GRPC_HEADER, WireError};
use crate::sequence::Sequence;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
};

/// One gRPC message, header included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// How many requests of its own the client had made by then: the server may have waited for the last one.
    pub after: u32,
    /// The message.
    pub bytes: Bytes,
}

impl Message {
    /// The same message with every edit's number replaced by another. It is as long as before.
    #[must_use]
    pub fn with_sequence(&self, sequence: Sequence) -> Self {
        let mut bytes = self.bytes.to_vec();
        sequence.replace_in(&mut bytes);
        Self { after: self.after, bytes: bytes.into() }
    }
}

/// Messages in the order in which they were received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript {
    /// The messages.
    pub messages: Vec<Message>,
}

/// The first line of a transcript's file; the messages follow.
#[derive(Serialize, Deserialize)]
struct Index {
    /// Each message's `after` and length.
    messages: Vec<(u32, usize)>,
}

impl Transcript {
    /// How many bytes the messages are.
    pub fn len(&self) -> usize {
        self.messages.iter().map(|message| message.bytes.len()).sum()
    }

    /// True where there is no message.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Writes it to a file.
    ///
    /// # Errors
    /// The system's.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let mut file = File::create(path)?;
        let index = Index { messages: self.messages.iter().map(|m| (m.after, m.bytes.len())).collect() };
        writeln!(file, "{}", serde_json::to_string(&index)?)?;
        self.messages.iter().try_for_each(|message| file.write_all(&message.bytes))
    }

    /// Reads it from a file.
    ///
    /// # Errors
    /// The system's, or that the file is no transcript or cut short.
    pub fn load(path: &Path) -> io::Result<Self> {
        let mut file = BufReader::new(File::open(path)?);
        let mut line = String::new();
        file.read_line(&mut line)?;
        let index: Index = serde_json::from_str(&line)?;
        let mut message = |(after, len)| {
            let mut bytes = vec![0; len];
            file.read_exact(&mut bytes)?;
            Ok(Message { after, bytes: bytes.into() })
        };
        let messages = index.messages.into_iter().map(&mut message).collect::<io::Result<_>>()?;
        Ok(Self { messages })
    }
}

/// Makes a transcript of a stream that comes in pieces.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    transcript: Transcript,
    pending: Vec<u8>,
}

impl Recorder {
    /// Takes the next piece of the stream, which must begin with a message when recording begins.
    pub(super) fn push(&mut self, after: u32, piece: &[u8]) -> Result<(), WireError> {
        self.pending.extend_from_slice(piece);
        while let Some(len) = wire::grpc_len(&self.pending)?.map(|len| len + GRPC_HEADER) {
            if self.pending.len() < len {
                break;
            }
            let bytes = self.pending.drain(..len).collect();
            self.transcript.messages.push(Message { after, bytes });
        }
        Ok(())
    }

    /// What was recorded, whole messages only.
    pub(super) fn finish(self) -> Transcript {
        self.transcript
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Vec<u8> {
        [&[0, 0, 0, 0, 3, 7, 8, 9][..], &[0, 0, 0, 0, 0], &[0, 0, 0, 0, 1, 5]].concat()
    }

    #[test]
    fn a_stream_is_cut_into_messages_and_survives_a_file() {
        let mut recorder = Recorder::default();
        stream().chunks(3).zip(1..).for_each(|(piece, after)| recorder.push(after, piece).unwrap());
        let transcript = recorder.finish();
        let found: Vec<_> = transcript.messages.iter().map(|m| (m.after, m.bytes.len())).collect();
        assert_eq!(found, [(3, 8), (5, 5), (7, 6)]);
        assert_eq!(transcript.len(), stream().len());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("transcript");
        transcript.save(&path).unwrap();
        assert_eq!(Transcript::load(&path).unwrap(), transcript);
        std::fs::write(&path, "{\"messages\":[[0,9]]}\nshort").unwrap();
        assert!(Transcript::load(&path).is_err());
    }

    #[test]
    fn a_message_of_another_edit_is_as_long() {
        let address = Sequence::new(5).address().to_string();
        let bytes: Vec<u8> = [b"\0\0\0\0\x10\x12\x0e", address.as_bytes()].concat();
        let message = Message { after: 0, bytes: bytes.into() };
        let other = message.with_sequence(Sequence::new(123_456));
        assert_eq!(Sequence::find(&other.bytes), Some(Sequence::new(123_456)));
        assert_eq!(other.bytes.len(), message.bytes.len());
    }
}
