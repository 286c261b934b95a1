"""Portable forms of the published model, ONNX and int8, each compared with it before it is used."""
