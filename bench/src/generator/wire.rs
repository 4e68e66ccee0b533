//! Protobuf and gRPC framing, only as deep as a load client needs: nothing is copied, nothing is decoded that is not looked at.

/// Bytes are not the protobuf or gRPC that they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum WireError {
    /// Not protobuf's encoding.
    #[error("the message is not valid protobuf")]
    Malformed,
    /// The compressed flag is set, though no compression was offered.
    #[error("the message is compressed, though no compression was offered")]
    Compressed,
    /// A string that is not UTF-8.
    #[error("a name or version is not UTF-8")]
    NotText,
}

/// One field of a message. Numbers are only skipped over: no field that matters here holds one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub(super) number: u64,
    /// A length-delimited field's content; empty for numbers.
    pub(super) content: &'a [u8],
}

/// Takes the field that the bytes begin with, and says how long it is. `None` where its end is not there yet.
pub(super) fn field(bytes: &[u8]) -> Result<Option<(Field<'_>, usize)>, WireError> {
    let Some((tag, start)) = varint(bytes)? else { return Ok(None) };
    let (content_at, len) = match tag & 7 {
        0 => match varint(&bytes[start..])? {
            Some((_, len)) => (start + len, 0),
            None => return Ok(None),
        },
        1 => (start + 8, 0),
        2 => match varint(&bytes[start..])? {
            Some((content, len)) => (start + len, usize::try_from(content).map_err(|_| WireError::Malformed)?),
            None => return Ok(None),
        },
        5 => (start + 4, 0),
        _ => return Err(WireError::Malformed),
    };
    let end = content_at.checked_add(len).ok_or(WireError::Malformed)?;
    let content = if end <= bytes.len() { &bytes[content_at..end] } else { return Ok(None) };
    Ok(Some((Field { number: tag >> 3, content }, end)))
}

/// The fields of a whole message.
pub(super) fn fields(mut message: &[u8]) -> impl Iterator<Item = Result<Field<'_>, WireError>> {
    std::iter::from_fn(move || {
        if message.is_empty() {
            return None;
        }
        match field(message) {
            Ok(Some((found, len))) => {
                message = &message[len..];
                Some(Ok(found))
            }
            Ok(None) | Err(_) => {
                message = &[];
                Some(Err(WireError::Malformed))
            }
        }
    })
}

pub(super) fn text(content: &[u8]) -> Result<&str, WireError> {
    std::str::from_utf8(content).map_err(|_| WireError::NotText)
}

fn varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, WireError> {
    let mut value = 0;
    for (nth, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * nth);
        if byte & 0x80 == 0 {
            return Ok(Some((value, nth + 1)));
        }
    }
    if bytes.len() >= 10 { Err(WireError::Malformed) } else { Ok(None) }
}

/// Bytes before each gRPC message: a flag and a length.
pub(super) const GRPC_HEADER: usize = 5;

/// The length of the gRPC message that the bytes begin with, header excluded; `None` where the header is not whole yet.
pub(super) fn grpc_len(bytes: &[u8]) -> Result<Option<usize>, WireError> {
    match bytes {
        [0, a, b, c, d, ..] => Ok(Some(u32::from_be_bytes([*a, *b, *c, *d]) as usize)),
        [] | [0, ..] => Ok(None),
        _ => Err(WireError::Compressed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_end_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(fields(&bytes).count() <= bytes.len());
            let _ = grpc_len(&bytes);
        }
    }

    #[test]
    fn every_wire_type_is_passed_over() {
        // 1: varint 300, 2: fixed64, 3: "ab", 4: fixed32
        let message = [0x08, 0xac, 2, 0x11, 1, 2, 3, 4, 5, 6, 7, 8, 0x1a, 2, b'a', b'b', 0x25, 1, 2, 3, 4];
        let found: Vec<_> =
            fields(&message).map(|f| f.map(|f| (f.number, f.content))).collect::<Result<_, _>>().unwrap();
        assert_eq!(found, [(1, &b""[..]), (2, b""), (3, b"ab"), (4, b"")]);
        for end in 1..message.len() {
            let whole = fields(&message[..end]).all(|f| f.is_ok());
            assert_eq!(whole, [3, 12, 16].contains(&end), "cut at {end}");
        }
    }

    #[test]
    fn a_compressed_message_is_refused() {
        assert_eq!(grpc_len(&[1, 0, 0, 0, 1]), Err(WireError::Compressed));
        assert_eq!((grpc_len(&[0, 0, 0, 1]), grpc_len(&[0, 0, 0, 1, 2])), (Ok(None), Ok(Some(258))));
    }
}
