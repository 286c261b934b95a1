"""`python -m resnet` is the `resnet` command."""

import sys

from resnet.cli import main

sys.exit(main())
