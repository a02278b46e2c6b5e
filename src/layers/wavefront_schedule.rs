//! In which order the levels of a recurrent stack go through time: chunks of their steps, several levels at once.

/// A chunk of the steps of one level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    /// In the order of the way: backward the top is 0.
    pub(super) level: usize,
    /// The same.
    pub(super) number: usize,
}

/// Dispatches of at most `width` chunks. Each chunk comes after the one before it of its level and the same one of the level
/// before: of those that may come, the ones that most others wait for.
pub(super) fn schedule(levels: usize, chunks: usize, width: usize) -> Vec<Vec<Chunk>> {
    let mut next = vec![0; levels];
    let mut dispatches = Vec::new();
    while next[levels - 1] < chunks {
        let ready = |&level: &usize| next[level] < chunks && (level == 0 || next[level - 1] > next[level]);
        let mut chosen: Vec<_> = (0..levels).filter(ready).map(|level| Chunk { level, number: next[level] }).collect();
        chosen.sort_by_key(|chunk| chunk.level + chunk.number);
        chosen.truncate(width.max(1));
        chosen.iter().for_each(|chunk| next[chunk.level] += 1);
        dispatches.push(chosen);
    }
    dispatches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_comes_once_and_after_what_it_waits_for() {
        for (levels, chunks, width) in [(1, 1, 1), (1, 5, 3), (5, 1, 5), (5, 8, 5), (5, 8, 4), (5, 8, 1), (3, 2, 2), (4, 16, 3)] {
            let mut done = vec![0; levels];
            for dispatch in schedule(levels, chunks, width) {
                assert!((1..=width).contains(&dispatch.len()));
                let before = done.clone();
                for Chunk { level, number } in dispatch {
                    assert_eq!(before[level], number);
                    assert!(level == 0 || before[level - 1] > number, "level {level}, chunk {number}");
                    done[level] += 1;
                }
            }
            assert_eq!(done, vec![chunks; levels]);
        }
    }

    #[test]
    fn dispatches_are_as_few_as_the_width_allows() {
        for (levels, chunks, width, dispatches) in
            [(5, 8, 5, 12), (5, 8, 4, 13), (5, 16, 4, 23), (5, 32, 4, 43), (5, 8, 1, 40), (5, 1, 5, 5), (1, 8, 8, 8)]
        {
            assert_eq!(schedule(levels, chunks, width).len(), dispatches, "{levels} levels, {chunks} chunks, {width} at once");
        }
    }
}
