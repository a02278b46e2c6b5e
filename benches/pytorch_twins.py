#!/usr/bin/env python3
"""How far melgrad's networks are from PyTorch's at full size: logits, loss and every gradient, from the same weights.

    cargo bench --bench twins -- FOLDER [WORKLOAD ..]
    python3 benches/pytorch_twins.py FOLDER

Needs torch, safetensors and numpy.

The twins are those of tests/fixtures/networks/make.py, computed in f64; beside it, how far PyTorch's own f32 is from that. A
difference is the largest of a tensor's elements over the largest magnitude of the tensor; a bias before a batch norm has
no influence, so gradients are held to at least a thousandth of the largest gradient of the network. Over some million
ReLUs a few inputs lie so near 0 that f32 and f64 part ways.
"""
import glob, importlib.util, os, sys
import torch, torch.nn.functional as F
from safetensors.torch import load_file

HERE = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("networks", os.path.join(HERE, "..", "tests", "fixtures", "networks", "make.py"))
networks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(networks)

def twin(workload):
    network, *sizes = workload.split("_")
    size = {part[0]: int(part[1:]) for part in sizes}
    if network == "bbnn": return networks.Bbnn(10)
    i, h, n = size["i"], size["h"], size["l"]
    if network == "indrnn": return networks.Indrnn(i, h, n, 10)
    return networks.Recurrent({"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[network](i, h, n), 10)

def run(model, tensors, dtype):
    """Logits, loss and gradients from the weights and the batch of the file, in training mode."""
    torch.set_default_dtype(dtype)
    model = model.to(dtype).train()
    state = {k.removeprefix("weight."): v for k, v in tensors.items() if k.startswith("weight.")}
    missing = model.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys and all("num_batches" in k for k in missing.missing_keys), missing
    model.zero_grad()
    logits = model(tensors["features"].to(dtype))
    loss = F.cross_entropy(logits, tensors["labels"].long())
    loss.backward()
    return {"logits": logits.detach(), "loss": loss.detach().reshape(1)} | {f"grad.{k}": p.grad for k, p in model.named_parameters()}

def far(found, expected):
    """Differences in loss, logits, all gradients together (norms) and the worst one, with its name."""
    difference = lambda key, floor=0.0: float((found[key] - expected[key]).abs().max() / max(float(expected[key].abs().max()), floor))
    gradients = [key for key in expected if key.startswith("grad.")]
    floor = 1e-3 * max(float(expected[key].abs().max()) for key in gradients)
    norm = lambda values: float(torch.cat([value.double().flatten() for value in values]).norm())
    together = norm([found[key] - expected[key] for key in gradients]) / norm([expected[key] for key in gradients])
    return difference("loss"), difference("logits"), together, *max((difference(key, floor), key.removeprefix("grad.")) for key in gradients)

def main():
    heads = " ".join(f"{head:>9}" for head in ("loss", "logits", "gradient", "worst"))
    print(f"{'':34} {'':>10}  {'melgrad':^39}   {'PyTorch in f32':^39}")
    print(f"{'workload':34} {'parameters':>10}  {heads}   {heads}  worst gradients")
    for path in sorted(glob.glob(os.path.join(sys.argv[1], "*.safetensors"))):
        tensors = load_file(path)
        workload = os.path.basename(path).removesuffix(".safetensors")
        expected = run(twin(workload), tensors, torch.float64)
        ours, theirs = far(tensors, expected), far(run(twin(workload), tensors, torch.float32), expected)
        count = sum(v.numel() for k, v in tensors.items() if k.startswith("weight."))
        numbers = lambda differences: " ".join(f"{d:9.1e}" for d in differences[:4])
        print(f"{workload:34} {count:10,}  {numbers(ours)}   {numbers(theirs)}  {ours[4]}, {theirs[4]}", flush=True)

if __name__ == "__main__": main()
