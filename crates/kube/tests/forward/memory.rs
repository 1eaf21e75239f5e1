//! How much memory connections take that stand still.
