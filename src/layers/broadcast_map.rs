//! The feature map that BBNN's blocks extend, and what they share.
//!
//! Dense concatenation only appends, so the map is a list of [`Source`]s: the stem's output, then one per block. A block reads
//! those before it and owns the one that it appends; statistics of a source are made once, by its producer.

use super::{BottleneckTiles, ImageContext, Map, MapStatistics, PooledBranch, PooledCopy};
use crate::gpu::{GpuError, Tensor};

/// One appended part of the feature map.
pub struct Source {
    /// (batch, time, mel, channels).
    pub map: Map,
    /// The 3x3 maximum of it, where a block reads that.
    pub pooled: Option<PooledCopy>,
}

/// Statistics of all sources' channels in order: of the values, and of their 3x3 maxima.
pub struct SourceStatistics {
    /// Of all channels.
    pub values: MapStatistics,
    /// Of the maxima of those that a block reads.
    pub pooled: MapStatistics,
}

/// All parts, and rooms that one block after the other uses.
pub struct BroadcastMap {
    /// The stem's output, then each block's.
    pub sources: Vec<Source>,
    /// Of all of them.
    pub statistics: SourceStatistics,
    /// How the blocks' pooled branches run: [`PooledBranch::tiles`].
    pub pooled_tiles: Option<BottleneckTiles>,
    /// Two of a block's width, (batch, time, mel, width), for gradients that the backward of one block begins and ends with.
    pub rooms: [Tensor; 2],
}

impl BroadcastMap {
    /// Allocates the map of `blocks` blocks over images of `[batch, frames, mel]`, with `width` filters in every convolution.
    pub fn new(context: &ImageContext, [batch, frames, mel]: [usize; 3], width: usize, blocks: usize) -> Result<Self, GpuError> {
        let gpu = &context.gpu;
        let channels = [width, 4 * width];
        let tiles = PooledBranch::tiles(context, channels, width, [mel, batch * frames * mel]);
        // The first, and each other.
        let of = |i: usize| channels[usize::from(i > 0)];
        let source = |i: usize| {
            let map = Map::image_of(gpu, "map", context.maps, [batch, frames, mel, of(i)])?;
            let pooled = if i < blocks { Some(PooledCopy::new(gpu, &map, tiles)?) } else { None };
            Ok(Source { map, pooled })
        };
        let all: usize = (0..=blocks).map(of).sum();
        let room = || gpu.tensor("d middle map", context.maps, &[batch, frames, mel, width]);
        Ok(Self {
            sources: (0..=blocks).map(source).collect::<Result<_, GpuError>>()?,
            statistics: SourceStatistics {
                values: MapStatistics::new(gpu, "map statistics", all)?,
                pooled: MapStatistics::new(gpu, "pooled statistics", all - of(blocks))?,
            },
            pooled_tiles: tiles,
            rooms: [room()?, room()?],
        })
    }

    /// Number of blocks.
    pub fn blocks(&self) -> usize {
        self.sources.len() - 1
    }
}
