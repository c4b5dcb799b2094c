"""What is known of the build that is tested."""

import os

# With the address sanitizer, whose allocator keeps what is freed for a while: memory in use says nothing.
SANITIZED = "libasan" in os.environ.get("LD_PRELOAD", "")
