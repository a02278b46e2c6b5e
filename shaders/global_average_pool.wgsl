// Mean over positions, per sample and channel: positions are time x mel of an image (batch, position, channel), or time
// of a sequence (position, batch, channel) with SEQUENCE.
//
//   y[s, c] = sum over p of x / positions;  dx = dy / positions
//
// A workgroup owns one sample and 32 channels: eight lanes per channel take every eighth position and are added in order.

const CHANNELS: u32 = 32u;
const SEQUENCE: bool = false;

struct Size {
    batch: u32,
    positions: u32,
    // The first sample of this dispatch in y and dy.
    first: u32,
}
var<immediate> size: Size;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

const PARTS: u32 = 8u;

var<workgroup> lanes: array<f32, 32u * PARTS>;

fn place(sample: u32, position: u32, channel: u32) -> u32 {
    if (SEQUENCE) {
        return (position * size.batch + sample) * CHANNELS + channel;
    }
    return (sample * size.positions + position) * CHANNELS + channel;
}

// Groups: x = tiles of 32 channels, y = samples.
@compute @workgroup_size(256)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let channel = group.x * 32u + lane % 32u;
    var sum = 0.0;
    if (channel < CHANNELS) {
        for (var p = lane / 32u; p < size.positions; p += PARTS) {
            sum += x[place(group.y, p, channel)];
        }
    }
    lanes[lane] = sum;
    workgroupBarrier();
    if (lane < 32u && channel < CHANNELS) {
        for (var part = 1u; part < PARTS; part += 1u) {
            sum += lanes[part * 32u + lane];
        }
        y[(size.first + group.y) * CHANNELS + channel] = sum / f32(size.positions);
    }
}

@compute @workgroup_size(64)
fn backward_input(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    if (i >= size.batch * size.positions * CHANNELS) {
        return;
    }
    let channel = i % CHANNELS;
    var sample = i / (CHANNELS * size.positions);
    if (SEQUENCE) {
        sample = (i / CHANNELS) % size.batch;
    }
    dx[i] = dy[(size.first + sample) * CHANNELS + channel] / f32(size.positions);
}
