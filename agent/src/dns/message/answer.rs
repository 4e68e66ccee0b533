//! Writes the answers of the mesh, by hand: they are most of what is asked, all of one form, and come out of a buffer that is used again.
//!
//! ```text
//! header | question | CNAME, where the name is another's alias | A or AAAA records | OPT, where the client sent one
//! ```

use super::{super::table::Found, PAYLOAD, Query, TTL};
use hickory_proto::rr::RecordType;

/// Bytes of an OPT record without options.
const OPT_LEN: usize = 11;
const HEADER_LEN: usize = 12;
/// A name that is said to be where the question's is: two bits, then the offset (RFC 1035, section 4.1.4).
const QUESTION_NAME: u16 = 0xc000 | HEADER_LEN as u16;
const CLASS_IN: u16 = 1;

const RESPONSE: u16 = 1 << 15;
const AUTHORITATIVE: u16 = 1 << 10;
const TRUNCATED: u16 = 1 << 9;
const RECURSION_DESIRED: u16 = 1 << 8;
const RECURSION_AVAILABLE: u16 = 1 << 7;
const CHECKING_DISABLED: u16 = 1 << 4;

/// Writes the answer to a question for a name of the mesh into `out`. A name without addresses of the family that is asked for, and
/// every other type, gets an answer without records: the name exists.
///
/// Addresses are turned by `turn`, so that clients which take the first spread over all. Those that the client has no room for are left
/// out, and the answer says that it is truncated.
pub(crate) fn answer(query: &Query, found: Found<'_>, turn: usize, out: &mut Vec<u8>) {
    out.clear();
    out.extend([0; HEADER_LEN]);
    write_name(query.question.name().iter(), out);
    let kind = query.question.query_type();
    put16(out, kind.into());
    put16(out, CLASS_IN);
    let mut section = Section {
        owner: QUESTION_NAME,
        limit: query.limit - if query.edns.is_some() { OPT_LEN } else { 0 },
        count: 0,
        truncated: false,
    };
    if let Some(name) = found.canonical {
        section.alias(name, out);
    }
    if matches!(kind, RecordType::A | RecordType::ANY) {
        section.addresses(RecordType::A, found.record.v4(), turn, out);
    }
    if matches!(kind, RecordType::AAAA | RecordType::ANY) {
        section.addresses(RecordType::AAAA, found.record.v6(), turn, out);
    }
    if let Some(edns) = query.edns {
        out.push(0);
        put16(out, RecordType::OPT.into());
        put16(out, PAYLOAD);
        put32(out, if edns.dnssec_ok { 1 << 15 } else { 0 });
        put16(out, 0);
    }
    write_header(query, &section, out);
}

fn write_header(query: &Query, section: &Section, out: &mut [u8]) {
    let flag = |set, bit| if set { bit } else { 0 };
    let flags = RESPONSE
        | AUTHORITATIVE
        | RECURSION_AVAILABLE
        | flag(section.truncated, TRUNCATED)
        | flag(query.metadata.recursion_desired, RECURSION_DESIRED)
        | flag(query.metadata.checking_disabled, CHECKING_DISABLED);
    let words = [query.metadata.id, flags, 1, section.count, 0, u16::from(query.edns.is_some())];
    for (to, word) in out.as_chunks_mut::<2>().0.iter_mut().zip(words) {
        *to = word.to_be_bytes();
    }
}

/// The records written so far.
struct Section {
    /// Where the name of the next ones stands.
    owner: u16,
    limit: usize,
    count: u16,
    truncated: bool,
}

impl Section {
    fn alias(&mut self, name: &[u8], out: &mut Vec<u8>) {
        // In wire form a name takes two bytes more than in text: its first label's length, and the root's.
        let len = name.len() + 2;
        if !self.begin(RecordType::CNAME, len, out) {
            return;
        }
        let place = u16::try_from(out.len()).unwrap_or_default();
        write_name(name.split(|byte| *byte == b'.'), out);
        self.owner = 0xc000 | place;
    }

    fn addresses<const N: usize>(&mut self, kind: RecordType, all: &[[u8; N]], turn: usize, out: &mut Vec<u8>) {
        let (last, first) = all.split_at(turn.checked_rem(all.len()).unwrap_or_default());
        for address in first.iter().chain(last) {
            if !self.begin(kind, N, out) {
                return;
            }
            out.extend(address);
        }
    }

    /// Writes all of a record but its data; not where there is no room for it.
    fn begin(&mut self, kind: RecordType, data: usize, out: &mut Vec<u8>) -> bool {
        self.truncated |= out.len() + 12 + data > self.limit;
        if self.truncated {
            return false;
        }
        self.count += 1;
        put16(out, self.owner);
        put16(out, kind.into());
        put16(out, CLASS_IN);
        put32(out, TTL);
        put16(out, u16::try_from(data).unwrap_or_default());
        true
    }
}

/// Labels are at most 63 bytes long: those of questions were read, those of hosts checked.
fn write_name<'a>(labels: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    for label in labels {
        out.push(u8::try_from(label.len()).unwrap_or_default());
        out.extend(label);
    }
    out.push(0);
}

fn put16(out: &mut Vec<u8>, value: u16) {
    out.extend(value.to_be_bytes());
}

fn put32(out: &mut Vec<u8>, value: u32) {
    out.extend(value.to_be_bytes());
}
