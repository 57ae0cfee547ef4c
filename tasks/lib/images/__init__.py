"""Images from a commit to a release: tags, builds, promotion, listing."""
