"""What reading a damaged archive of arrays (.npz) raises."""

import tokenize
import zipfile
import zlib

# Within NumPy and zipfile, and where values of another kind reach what takes them. A length of an
# array that no memory holds is one of them, and so is a method of packing that there is not.
UNREADABLE = (
    OSError, EOFError, ValueError, KeyError, TypeError, IndexError, AttributeError, MemoryError,
    OverflowError, NotImplementedError, RuntimeError, SyntaxError, zipfile.BadZipFile, zlib.error,
    tokenize.TokenError,
)  # fmt: skip
