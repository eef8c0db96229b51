"""Many clients of one server at once, each speaking at its own pace."""
