//! What a plugin author uses: traits, registry and testing kit.
