import sqlite3

from happened import Aggregate, Domain, StorageError

library = Domain("library", storage="sqlite:///library.db?timeout=0.1")


@library.aggregate
class Reader(Aggregate): ...


library.init()
readers = library.repository_for(Reader)
other = sqlite3.connect("library.db")

# --8<-- [start:busy]
other.execute("BEGIN IMMEDIATE")  # stands for another process that writes
try:
    readers.add(Reader())
except StorageError as error:
    print(error)
    print(repr(error.__cause__))
other.rollback()
readers.add(Reader())
print("readers:", readers.query.count())
# --8<-- [end:busy]

# --8<-- [start:another]
try:
    Domain("archive", storage="sqlite:///library.db").init()
except StorageError as error:
    print(error)
# --8<-- [end:another]

# --8<-- [start:newer]
other.execute("UPDATE happened_schema SET version = 2")
other.commit()
try:
    Domain("library", storage="sqlite:///library.db").init()
except StorageError as error:
    print(error)
# --8<-- [end:newer]
other.close()
library.close()
