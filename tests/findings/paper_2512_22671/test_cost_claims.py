"""The headline energy and latency of the paper."""


def test_headline_energy_and_latency(rows: dict[str, tuple[str, ...]]) -> None:
    assert rows["1B up to 23 % less energy: mmlu b1, 60 % removed"][0].endswith("-23 %")
    small = rows["1B energy, mean of 6 workloads, 60 % removed"]
    assert small[0] == "0.1682 to 0.1352 J/token, -19.6 %"
    assert "-22.4 %; in right joules 0.499 to 0.387" in small[1]
    large = rows["3B energy, mean of 6 workloads, 60 % removed"]
    assert large[0] == "0.3616 to 0.2903 J/token, -19.7 %"
    assert rows["1B latency of requests, 60 % removed"][0].endswith("+59 %")
    assert rows["3B latency of requests, 60 % removed"][0].endswith("+89 %")
    assert rows["1B batches gain: energy at batch 8, 10 % removed"][0] == "+13 % to +19 %"
    assert rows["3B batches gain: energy at batch 8, 10 % removed"][0] == "+3 % to +9 %"
