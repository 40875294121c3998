"""Layer 6. The contract of storages: what every storage must do, as tests for pytest.

An adapter of your own runs it with a file of tests that imports all of it, and a fixture `storage`
that opens an empty storage:

```python
import pytest

from happened.storage import open_storage
from happened.testing.storage_contract import *


@pytest.fixture
def storage(tmp_path):
    opened = open_storage(f"sqlite:///{tmp_path}/shop.db")
    yield opened
    opened.close()
```

With ``pytest.register_assert_rewrite("happened.testing")`` in ``conftest.py`` failures say more.
"""

from happened.testing.storage_contract.alone import *
from happened.testing.storage_contract.checkpoints import *
from happened.testing.storage_contract.deliveries import *
from happened.testing.storage_contract.documents import *
from happened.testing.storage_contract.partitions import stock as stock
from happened.testing.storage_contract.streams import *
from happened.testing.storage_contract.threads import *
from happened.testing.storage_contract.unique_fields import *
from happened.testing.storage_contract.unique_fields import books as books
