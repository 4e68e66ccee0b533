//! The bytes of the log, pure: a header, then records, each with its length and a checksum. What follows a fault is not read.
//!
//! ```text
//! header  "tombolo config log 1\n"  frame(owner)
//! record  frame(1 type resource) is held from here on, or frame(2 type name) is not
//! frame   length u32, xxh3 of the body u64, body; numbers little-endian; a type is its length u16 and its URL
//! ```

use super::Name;
use crate::stream::wire::Resource;
use bytes::Bytes;
use std::io::{self, Read};
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: &[u8] = b"tombolo config log 1\n";
/// Length and checksum.
const FRAME: usize = 12;
/// More than a message may have.
const MAX_RECORD: usize = 1 << 30;
/// Bodies are read in pieces of this size, so that a length that is wrong allocates nothing.
const PIECE: u64 = 64 << 10;

/// Why a log is not read, or not beyond a point.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    /// Some other file, or another version's.
    #[error("it is not a log of this format")]
    Format,
    /// Another proxy's.
    #[error("it belongs to {0:?}, and this is another proxy")]
    Foreign(String),
    /// The end of a write that did not happen, or not whole.
    #[error("it ends inside a record")]
    Torn,
    /// The disk gave other bytes than it was given.
    #[error("a record's checksum is wrong")]
    Checksum,
    /// The checksum is right, and still it cannot be read.
    #[error("a record cannot be read")]
    Malformed,
    /// The system's.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// Held from here on.
    Put(Box<str>, Resource),
    /// Held no more.
    Remove(Box<str>, Name),
}

fn frame(body: &[&[u8]]) -> Vec<u8> {
    let mut out = vec![0; FRAME];
    body.iter().for_each(|part| out.extend_from_slice(part));
    let len = u32::try_from(out.len() - FRAME).unwrap_or(u32::MAX);
    let checksum = xxh3_64(&out[FRAME..]);
    out[..4].copy_from_slice(&len.to_le_bytes());
    out[4..FRAME].copy_from_slice(&checksum.to_le_bytes());
    out
}

/// The log's first bytes. `owner` is whose config it is.
pub(crate) fn header(owner: &str) -> Vec<u8> {
    [MAGIC, &frame(&[owner.as_bytes()])].concat()
}

fn kind_len(kind: &str) -> [u8; 2] {
    u16::try_from(kind.len()).unwrap_or(u16::MAX).to_le_bytes()
}

/// The record by which a resource is held.
pub(crate) fn put(kind: &str, resource: &[u8]) -> Vec<u8> {
    frame(&[&[1], &kind_len(kind), kind.as_bytes(), resource])
}

/// The record by which nothing is held under a name.
pub(crate) fn remove(kind: &str, name: &str) -> Vec<u8> {
    frame(&[&[2], &kind_len(kind), kind.as_bytes(), name.as_bytes()])
}

/// Reads a framed record, as it is in the file.
pub(crate) fn read_record(frame: &Bytes) -> Result<Record, LogError> {
    let mut reader = &**frame;
    match read_frame(&mut reader)? {
        Some(len) if len == frame.len() => record(&frame.slice(FRAME..)),
        _ => Err(LogError::Torn),
    }
}

/// Reads what a record's body says.
fn record(body: &Bytes) -> Result<Record, LogError> {
    let (op, rest) = body.split_first().ok_or(LogError::Malformed)?;
    let (len, rest) = rest.split_first_chunk().ok_or(LogError::Malformed)?;
    let kind = rest.get(..usize::from(u16::from_le_bytes(*len))).ok_or(LogError::Malformed)?;
    let value = body.slice(3 + kind.len()..);
    let kind = str::from_utf8(kind).map_err(|_| LogError::Malformed)?.into();
    match op {
        1 => Ok(Record::Put(kind, Resource::read(value).map_err(|_| LogError::Malformed)?)),
        2 => Ok(Record::Remove(kind, str::from_utf8(&value).map_err(|_| LogError::Malformed)?.into())),
        _ => Err(LogError::Malformed),
    }
}

/// Skips a frame whose checksum is right, and returns its length; `None` at the end.
fn read_frame(reader: &mut impl Read) -> Result<Option<usize>, LogError> {
    Ok(read_body(reader)?.map(|body| FRAME + body.len()))
}

fn read_body(reader: &mut impl Read) -> Result<Option<Vec<u8>>, LogError> {
    let mut head = Vec::with_capacity(FRAME);
    reader.by_ref().take(FRAME as u64).read_to_end(&mut head)?;
    let Some((len, checksum)) = head.split_first_chunk() else {
        return if head.is_empty() { Ok(None) } else { Err(LogError::Torn) };
    };
    let checksum = checksum.try_into().map(u64::from_le_bytes).map_err(|_| LogError::Torn)?;
    let len = u32::from_le_bytes(*len) as usize;
    if len > MAX_RECORD {
        return Err(LogError::Checksum);
    }
    let mut body = Vec::new();
    while body.len() < len {
        let before = body.len();
        reader.by_ref().take(PIECE.min((len - before) as u64)).read_to_end(&mut body)?;
        if body.len() == before {
            return Err(LogError::Torn);
        }
    }
    if xxh3_64(&body) == checksum { Ok(Some(body)) } else { Err(LogError::Checksum) }
}

/// What a scan came to.
#[derive(Debug)]
pub(crate) struct Scan {
    /// How many bytes are good; 0 where the header is not.
    pub(crate) good: u64,
    /// Why there is not more, where there is.
    pub(crate) fault: Option<LogError>,
}

/// Reads a log of this owner, and tells each record with its offset and its length.
pub(crate) fn scan(reader: &mut impl Read, owner: &str, mut each: impl FnMut(Record, u64, u32)) -> Scan {
    let mut good = 0;
    let fault = scan_into(reader, owner, &mut good, &mut each).err();
    Scan { good, fault }
}

fn scan_into(
    reader: &mut impl Read,
    owner: &str,
    good: &mut u64,
    each: &mut impl FnMut(Record, u64, u32),
) -> Result<(), LogError> {
    let mut magic = Vec::with_capacity(MAGIC.len());
    reader.by_ref().take(MAGIC.len() as u64).read_to_end(&mut magic)?;
    if magic != MAGIC {
        return Err(LogError::Format);
    }
    let found = read_body(reader)?.ok_or(LogError::Torn)?;
    if found != owner.as_bytes() {
        return Err(LogError::Foreign(String::from_utf8_lossy(&found).into_owned()));
    }
    *good = (MAGIC.len() + FRAME + found.len()) as u64;
    while let Some(body) = read_body(reader)? {
        let len = FRAME + body.len();
        each(record(&body.into())?, *good, u32::try_from(len).unwrap_or(u32::MAX));
        *good += len as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::relay::tests::resource;
    use proptest::{prelude::*, test_runner::RngSeed};

    fn write(records: &[Record]) -> Vec<u8> {
        let bytes = records.iter().map(|record| match record {
            Record::Put(kind, resource) => put(kind, &resource.bytes),
            Record::Remove(kind, name) => remove(kind, name),
        });
        std::iter::once(header("me")).chain(bytes).flatten().collect()
    }

    fn read(bytes: &[u8]) -> (Vec<Record>, Scan) {
        let mut records = Vec::new();
        let scan = scan(&mut &*bytes, "me", |record, offset, len| {
            let frame = Bytes::copy_from_slice(&bytes[offset as usize..][..len as usize]);
            assert_eq!(read_record(&frame).unwrap(), record);
            records.push(record);
        });
        (records, scan)
    }

    fn records() -> impl Strategy<Value = Vec<Record>> {
        let kind = || "[a-z]{0,4}".prop_map(|kind: String| kind.into_boxed_str());
        let name = || "[a-z]{0,6}";
        proptest::collection::vec(
            prop_oneof![
                (kind(), name(), any::<u8>()).prop_map(|(kind, name, content)| {
                    Record::Put(kind, Resource::read(resource(&name, content).into()).unwrap())
                }),
                (kind(), name()).prop_map(|(kind, name)| Record::Remove(kind, name.into())),
            ],
            0..6,
        )
    }

    fn config(cases: u32) -> ProptestConfig {
        let rng_seed = RngSeed::Fixed(4);
        let cases = ProptestConfig::default().cases.max(cases);
        ProptestConfig { cases, rng_seed, failure_persistence: None, ..ProptestConfig::default() }
    }

    proptest! {
        #![proptest_config(config(5000))]

        #[test]
        fn what_is_written_is_read(records in records()) {
            let bytes = write(&records);
            let (found, scan) = read(&bytes);
            prop_assert_eq!(found, records);
            prop_assert_eq!(scan.good, bytes.len() as u64);
            prop_assert!(scan.fault.is_none());
        }

        #[test]
        fn what_is_torn_off_takes_nothing_before_it_along(records in records(), at in any::<prop::sample::Index>()) {
            let bytes = write(&records);
            let cut = at.index(bytes.len());
            let (found, scan) = read(&bytes[..cut]);
            prop_assert!(records.starts_with(&found));
            prop_assert!(scan.good <= cut as u64);
            prop_assert!(scan.fault.is_some() || scan.good == cut as u64);
        }

        #[test]
        fn a_changed_byte_costs_what_follows_it_and_no_more(
            records in records(), at in any::<prop::sample::Index>(), flip in 1u8..,
        ) {
            let mut bytes = write(&records);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            let (found, scan) = read(&bytes);
            prop_assert!(records.starts_with(&found));
            prop_assert!(scan.fault.is_some());
            prop_assert!(scan.good <= at as u64);
        }
    }

    proptest! {
        #![proptest_config(config(100_000))]

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let (records, _) = read(&[header("me"), bytes.clone(), frame(&[&bytes])].concat());
            prop_assert!(records.len() <= 1);
            let (records, _) = read(&[header("me"), frame(&[&bytes]), bytes].concat());
            prop_assert!(records.len() <= 1);
        }
    }

    #[test]
    fn each_fault_has_its_words() {
        let say = |bytes: &[u8]| read(bytes).1.fault.map(|fault| fault.to_string()).unwrap_or_default();
        assert_eq!(say(b""), "it is not a log of this format");
        assert_eq!(say(&header("you")), "it belongs to \"you\", and this is another proxy");
        let bytes = write(&[Record::Remove("k".into(), "n".into())]);
        assert_eq!(say(&bytes[..bytes.len() - 1]), "it ends inside a record");
        assert_eq!(say(&[&bytes[..bytes.len() - 1], b"!"].concat()), "a record's checksum is wrong");
        assert_eq!(say(&[header("me"), frame(&[&[3, 0, 0]])].concat()), "a record cannot be read");
        assert_eq!(say(&header("me")), "");
    }
}
