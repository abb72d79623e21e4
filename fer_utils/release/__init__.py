"""What makes a run a product: its export as ONNX with a model card, and what a prediction costs.

The released model itself lies in `fer_utils/pretrained`; what loads it is `fer_utils.recognition`.
"""
