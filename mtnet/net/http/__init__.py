"""HTTP for components: routes that declare themselves, and what is done once for all of them."""
