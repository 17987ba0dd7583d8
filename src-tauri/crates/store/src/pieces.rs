//! Where a large value is cut into pieces, one file each.
//!
//! A run is written at each of its checkpoints and only grows meanwhile: as one file it would be written whole each
//! time, which for a list of ten thousand items comes to gigabytes. Its pieces end where their content says, so what
//! stays keeps its pieces, wherever it moves, and only new ones are written.

use std::ops::Range;

use fastcdc::v2020::FastCDC;

/// Values up to this many bytes are one file: a few more bytes cost less than a few more files.
const WHOLE_MAX: usize = 64 << 10;

/// The smallest size that pieces have on average.
const AVERAGE_MIN: usize = 8 << 10;

/// The most pieces of a value: their names have to fit into a value of the tree
/// ([`INLINE_MAX`](crate::value::INLINE_MAX)).
pub(crate) const PIECES_MAX: usize = 160;

/// The pieces of a value that is written again and again, in order.
pub(crate) fn cut(payload: &[u8]) -> Vec<Range<usize>> {
    if payload.len() <= WHOLE_MAX {
        return whole(payload);
    }
    // About a hundred of them, so that the names stay few and each stays small.
    let mut average = (payload.len() / 96).next_power_of_two().max(AVERAGE_MIN);
    while average <= fastcdc::v2020::AVERAGE_MAX {
        let pieces: Vec<_> = FastCDC::new(payload, average / 4, average, average * 4)
            .take(PIECES_MAX + 1)
            .map(|piece| piece.offset..piece.offset + piece.length)
            .collect();
        if pieces.len() <= PIECES_MAX {
            return pieces;
        }
        average *= 2;
    }
    whole(payload)
}

/// The one piece of a value that is written once.
pub(crate) fn whole(payload: &[u8]) -> Vec<Range<usize>> {
    std::iter::once(0..payload.len()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn pieces_are_the_whole_in_order_and_few(
            unit in proptest::collection::vec(any::<u8>(), 1..200),
            length in 0..6_000_000_usize,
        ) {
            let payload: Vec<u8> = unit.iter().copied().cycle().take(length).collect();
            let pieces = cut(&payload);
            prop_assert!(pieces.len() <= PIECES_MAX, "{}", pieces.len());
            let mut end = 0;
            for piece in &pieces {
                prop_assert_eq!(piece.start, end);
                end = piece.end;
            }
            prop_assert_eq!(end, payload.len());
        }
    }
}
