"""Release of a run: its export as ONNX with a model card, and the cost of a prediction.

The released model is in `fer_utils/pretrained`, and the code that loads it in
`fer_utils.recognition`.
"""
