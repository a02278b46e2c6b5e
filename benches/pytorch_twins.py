#!/usr/bin/env python3
"""How far melgrad's networks are from PyTorch's at full size: logits, loss and every gradient, from the same weights.

    cargo bench --bench twins -- FOLDER [WORKLOAD ..]
    python3 benches/pytorch_twins.py FOLDER

The twins are those of tests/fixtures/networks/make.py, computed in f64. A difference is the largest of a tensor's elements
over the largest magnitude of the tensor; a bias before a batch norm has no influence, so gradients are held to at least a
thousandth of the largest gradient of the network.
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

def main():
    print(f"{'workload':34} {'parameters':>10} {'loss':>9} {'forward':>9} {'gradient':>9}  worst gradient")
    for path in sorted(glob.glob(os.path.join(sys.argv[1], "*.safetensors"))):
        tensors = {k: v.double() for k, v in load_file(path).items()}
        workload = os.path.basename(path).removesuffix(".safetensors")
        model = twin(workload).train()
        state = {k.removeprefix("weight."): v for k, v in tensors.items() if k.startswith("weight.")}
        missing = model.load_state_dict(state, strict=False)
        assert not missing.unexpected_keys and all("num_batches" in k for k in missing.missing_keys), missing
        logits = model(tensors["features"])
        loss = F.cross_entropy(logits, tensors["labels"].long())
        loss.backward()
        far = lambda found, expected, floor=0.0: float((found - expected).abs().max() / max(float(expected.abs().max()), floor))
        gradients = {k: p.grad for k, p in model.named_parameters()}
        floor = 1e-3 * max(float(g.abs().max()) for g in gradients.values())
        worst, name = max((far(tensors[f"grad.{k}"], g, floor), k) for k, g in gradients.items())
        count = sum(v.numel() for v in state.values())
        print(f"{workload:34} {count:10,} {far(tensors['loss'], loss.detach().reshape(1)):9.1e} {far(tensors['logits'], logits.detach()):9.1e} {worst:9.1e}  {name}", flush=True)

if __name__ == "__main__": main()
