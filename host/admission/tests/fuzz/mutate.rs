//! Makes files that are almost right: a seed with a few changes, by a generator that always makes the same.

/// Bytes that mean something to whoever reads components: counts, kinds, headers, ends.
const PIECES: [&[u8]; 16] = [
    &[0],
    &[1],
    &[2],
    &[0x0b],
    &[0x40],
    &[0x41, 1],
    &[0x42, 1, 1],
    &[0x70],
    &[0x7f],
    &[0xff],
    &[0xff, 0x7f],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    b"\0asm\x01\0\0\0",
    b"\0asm\x0d\0\x01\0",
    b"stepcell:step/step@0.1.0",
    b"\n\x1b",
];

/// The longest file that is made, in bytes.
const LEN_BYTES_MAX: usize = 64_000;

/// Changes seeds.
pub(crate) struct Mutator<'a> {
    seeds: &'a [Vec<u8>],
    state: u64,
}

impl<'a> Mutator<'a> {
    pub(crate) const fn new(seeds: &'a [Vec<u8>], state: u64) -> Self {
        Self { seeds, state }
    }

    /// A seed with one to four changes, or now and then nothing but numbers.
    pub(crate) fn file(&mut self) -> Vec<u8> {
        if self.below(4) == 0 {
            let len = self.below(4_000);
            return (0..len).map(|_| (self.next() >> 32) as u8).collect();
        }
        let mut file = self.seed();
        for _ in 0..=self.below(4) {
            self.change(&mut file);
        }
        file.truncate(LEN_BYTES_MAX);
        file
    }

    fn change(&mut self, file: &mut Vec<u8>) {
        let from = self.below(file.len() + 1);
        let to = (from + self.below(6)).min(file.len());
        match self.below(6) {
            0 => drop(file.drain(from..to)),
            1 => {
                let again = file[from..to].to_vec();
                drop(file.splice(from..from, again));
            }
            2 => {
                let piece = PIECES[self.below(PIECES.len())];
                drop(file.splice(from..to, piece.iter().copied()));
            }
            3 => {
                let other = self.seed();
                let other_from = self.below(other.len() + 1);
                let other_to = (other_from + self.below(200)).min(other.len());
                drop(file.splice(from..to, other[other_from..other_to].iter().copied()));
            }
            _ => {
                // Most changes leave the lengths as they are, so that what follows is still read.
                let byte = (self.next() >> 40) as u8;
                if let Some(changed) = file.get_mut(from) {
                    *changed = if byte < 64 { changed.wrapping_add(1) } else { byte };
                }
            }
        }
    }

    fn seed(&mut self) -> Vec<u8> {
        self.seeds[self.below(self.seeds.len())].clone()
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Source: Steele, Lea, Flood: Fast splittable pseudorandom number generators (`SplitMix64`).
    const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
