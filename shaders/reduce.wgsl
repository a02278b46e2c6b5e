// Sums of partial results in a fixed order. A row of `partial_sums` has COUNT elements for `out`, and REST behind them:
//
//   out[OUT_FIRST + i] = partial_sums[0, i] + partial_sums[1, i] + ..       for i < COUNT
//   rest[i] = partial_sums[0, COUNT + i] + ..                               for i < REST, where it is wanted
//
// Decomposition: a workgroup owns WIDTH neighbouring elements; PARTS invocations each add every PARTS-th row, so that several
// loads are under way, and one adds the parts in order.

const COUNT: u32 = 1024u;
const REST: u32 = 0u;
const OUT_FIRST: u32 = 0u;

const WIDTH: u32 = 32u;
const PARTS: u32 = 8u;

struct Size {
    splits: u32,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> partial_sums: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read_write> rest: array<f32>;

var<workgroup> parts: array<f32, WIDTH * PARTS>;

// The sum of element i, in the invocations of the first part.
fn total(i: u32, lane: u32) -> f32 {
    var sum = 0.0;
    if (i < COUNT + REST) {
        for (var split = lane / WIDTH; split < size.splits; split += PARTS) {
            sum += partial_sums[split * (COUNT + REST) + i];
        }
    }
    parts[lane] = sum;
    workgroupBarrier();
    for (var part = 1u; part < PARTS && lane < WIDTH; part += 1u) {
        sum += parts[part * WIDTH + lane];
    }
    return sum;
}

@compute @workgroup_size(256)
fn sum(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * WIDTH + lane % WIDTH;
    let value = total(i, lane);
    if (lane < WIDTH && i < COUNT) {
        out[OUT_FIRST + i] = value;
    }
}

@compute @workgroup_size(256)
fn sum_both(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * WIDTH + lane % WIDTH;
    let value = total(i, lane);
    if (lane < WIDTH && i < COUNT) {
        out[OUT_FIRST + i] = value;
    } else if (lane < WIDTH && i < COUNT + REST) {
        rest[i - COUNT] = value;
    }
}
