"""Images, from a commit to a release: tags, builder, promotion, listing."""
