//! Which kernels of the convolution family run the operations of one convolution.

use super::convolution_variant::Operation;
use super::{ConvolutionShape, ConvolutionVariant, convolution_contest};
use crate::gpu::{Element, Gpu};

/// The variants of a convolution's operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvolutionVariants {
    pub(super) forward: ConvolutionVariant,
    pub(super) backward_input: ConvolutionVariant,
    pub(super) backward_weight: ConvolutionVariant,
}

impl From<ConvolutionVariant> for ConvolutionVariants {
    fn from(variant: ConvolutionVariant) -> Self {
        Self { forward: variant, backward_input: variant, backward_weight: variant }
    }
}

impl ConvolutionVariants {
    /// One variant where its tiles fit, the plain one for the other operations; over maps stored as halves, one that takes them.
    pub fn fitting(gpu: &Gpu, variant: ConvolutionVariant, shape: ConvolutionShape, maps: Element) -> Self {
        let beside = ConvolutionVariant::beside(maps);
        Self::each(|operation| if variant.fits(gpu, operation, shape) { variant } else { beside })
    }

    /// One variant for one operation, the plain one for the others; over maps stored as halves, one that takes them.
    pub(super) fn only(variant: ConvolutionVariant, operation: Operation, maps: Element) -> Self {
        let beside = ConvolutionVariant::beside(maps);
        Self::each(|other| if other == operation { variant } else { beside })
    }

    fn each(of: impl Fn(Operation) -> ConvolutionVariant) -> Self {
        Self {
            forward: of(Operation::Forward),
            backward_input: of(Operation::BackwardInput),
            backward_weight: of(Operation::BackwardWeight),
        }
    }

    /// Those that the adapter gets for `rows` rows of tensors whose channels come in eights, fours or one by one, and whose values
    /// are stored as `maps`; `dx` says whether that is wanted. With runtime checks nothing is measured: the plain ones (for halves,
    /// which these do not take, the first that does), since software adapters take ten seconds to compile the others with them.
    pub fn choose(
        gpu: &Gpu,
        shape: ConvolutionShape,
        fold: bool,
        dx: bool,
        rows: usize,
        alignment: usize,
        maps: Element,
    ) -> Self {
        let halves = maps == Element::F16;
        if gpu.runtime_checks() {
            return ConvolutionVariant::beside(maps).into();
        }
        let mut takes = ConvolutionVariant::available(gpu);
        takes.retain(|variant| variant.takes(shape, alignment) && (!halves || variant.takes_halves()));
        if !gpu.chooses_kernels() {
            return takes[0].into();
        }
        Self::each(|operation| {
            if operation == Operation::BackwardInput && !dx {
                return takes[0];
            }
            let fit: Vec<_> = takes.iter().copied().filter(|variant| variant.fits(gpu, operation, shape)).collect();
            convolution_contest::choose(gpu, operation, &fit, shape, fold, rows, maps)
        })
    }

    /// Whether the forward kernel can bring the moments of y.
    pub(super) fn bring_moments(&self) -> bool {
        self.forward.is_fused()
    }

    /// Whether the kernel of dx takes the gradient back through the fold.
    pub fn take_fold_back(&self) -> bool {
        self.backward_input.is_fused()
    }

    /// The shader of the forward kernel.
    pub fn name(&self) -> &'static str {
        self.forward.name()
    }

    pub(super) fn of(&self, operation: Operation) -> ConvolutionVariant {
        match operation {
            Operation::Forward => self.forward,
            Operation::BackwardInput => self.backward_input,
            Operation::BackwardWeight => self.backward_weight,
        }
    }
}
