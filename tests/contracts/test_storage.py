"""What every storage must do; see `happened.testing.storage_contract`."""

from happened.testing.storage_contract import *
