//! Many small tensors in one buffer: parameters, their gradients, running statistics.

use super::{Element, Gpu, GpuError, Tensor};

/// Where each tensor of an arena lies. Two arenas of one plan have the same layout, so that element `i` of one belongs
/// to element `i` of the other.
#[derive(Debug, Clone)]
pub struct ArenaPlan {
    starts: Vec<usize>,
    shapes: Vec<Vec<usize>>,
    elements: usize,
}

impl ArenaPlan {
    /// Lays out `shapes` in order, each at the adapter's offset alignment; what lies between stays zero.
    pub fn new<'a>(gpu: &Gpu, shapes: impl IntoIterator<Item = &'a [usize]>) -> Self {
        let alignment = (gpu.alignment() as usize / Element::F32.bytes()).max(4);
        let mut plan = Self { starts: Vec::new(), shapes: Vec::new(), elements: 0 };
        for shape in shapes {
            plan.starts.push(plan.elements);
            plan.shapes.push(shape.to_vec());
            plan.elements += shape.iter().product::<usize>().next_multiple_of(alignment);
        }
        plan.elements = plan.elements.max(alignment);
        plan
    }

    /// Elements of the whole arena, padding included.
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// First element of tensor `index`.
    pub fn start(&self, index: usize) -> usize {
        self.starts[index]
    }

    /// Shape of tensor `index`.
    pub fn shape(&self, index: usize) -> &[usize] {
        &self.shapes[index]
    }
}

/// One buffer laid out by a plan, all zeros at first.
#[derive(Debug, Clone)]
pub struct Arena {
    plan: ArenaPlan,
    whole: Tensor,
}

impl Arena {
    /// Allocates.
    pub fn new(gpu: &Gpu, label: &str, plan: &ArenaPlan) -> Result<Self, GpuError> {
        Ok(Self { plan: plan.clone(), whole: gpu.tensor(label, Element::F32, &[plan.elements])? })
    }

    /// Tensor `index` of the plan.
    pub fn tensor(&self, index: usize) -> Tensor {
        self.whole.view(self.plan.starts[index], &self.plan.shapes[index])
    }

    /// The arena as one flat tensor, padding included.
    pub fn whole(&self) -> &Tensor {
        &self.whole
    }

    /// Its layout.
    pub fn plan(&self) -> &ArenaPlan {
        &self.plan
    }
}
