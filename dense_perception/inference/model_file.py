"""Open a model file: one ``.onnx`` whose metadata holds the model card."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from dense_perception.inference.card import METADATA_KEY, CardError, ModelCard

DATA_KEY = 'dense_perception.data'
"""Metadata property of a file whose weights are in a second one: JSON with ``file``, ``bytes``."""

DATA_SUFFIX = '.data'

SHIPPED_MODELS = Path(__file__).resolve().parent.parent / 'assets' / 'models'


class ModelFileError(ValueError):
    """A model file that cannot be used; the message names the file and says what to do."""


@dataclass(frozen=True)
class ModelFile:
    """A checked model file: where it is, what its card says, the SHA-256 of its bytes.

    Weights beyond 2 GB are in a second file beside it. The hash covers them too: the card has
    theirs.
    """

    path: Path
    card: ModelCard
    sha256: str
    size: int
    """Bytes, those of the second file included."""
    quantised: bool = False
    """Whether the graph has Q/DQ nodes: an int8 file."""

    @classmethod
    def open(cls, name_or_path: str | Path) -> ModelFile:
        """Find, read and check a model file.

        :param name_or_path: a path to an ``.onnx`` file, or the name of a shipped model
            (``list_shipped()``).
        :raises ModelFileError: not found, unreadable, truncated, without a card, a card of
            another schema version, or a graph that does not fit its card.
        """
        path = resolve(name_or_path)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ModelFileError(f'cannot read model file {path}: {error.strerror}') from None
        properties, operators = _metadata(data, path)
        try:
            card = ModelCard.from_json(properties[METADATA_KEY])
        except CardError as error:
            raise ModelFileError(f'{path}: {error}') from None
        beside = _check_data(path, properties[DATA_KEY]) if DATA_KEY in properties else 0
        return cls(path, card, hashlib.sha256(data).hexdigest(), len(data) + beside,
                   'QuantizeLinear' in operators)


def list_shipped() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(p.stem for p in SHIPPED_MODELS.glob('*.onnx'))


def resolve(name_or_path: str | Path) -> Path:
    """Path of a model file given by path or by the name of a shipped model.

    :raises ModelFileError: there is no such file; the message lists the shipped names.
    """
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path.resolve()
    shipped = SHIPPED_MODELS / f'{name_or_path}.onnx'
    if shipped.is_file():
        return shipped
    raise ModelFileError(f'no model file "{name_or_path}": give the path of an .onnx file or one '
                         f'of the shipped models: {", ".join(list_shipped()) or "(none)"}')


def names_file(name_or_path: str | Path) -> bool:
    """Whether this means a model file, by path or by a shipped one's name, and no folder."""
    path = Path(name_or_path).expanduser()
    return path.is_file() or not path.exists() and (
        path.suffix == '.onnx' or str(name_or_path) in list_shipped())


def _check_data(path: Path, text: str) -> int:
    """Bytes of the second file.

    :raises ModelFileError: it is absent or not the one that was written.
    """
    try:
        wanted = json.loads(text)
        data, size = path.with_name(wanted['file']), int(wanted['bytes'])
    except (ValueError, KeyError, TypeError):
        raise ModelFileError(f'{path} does not say where its weights are; export it '
                             'again') from None
    found = data.stat().st_size if data.is_file() else None
    if found != size:
        raise ModelFileError(f'{path} needs its weights beside it, {data.name} of {size} bytes, '
                             f'which {"is absent" if found is None else f"has {found}"}; copy '
                             'both files')
    return size


def _metadata(data: bytes, path: Path) -> tuple[dict[str, str], set[str]]:
    """Metadata properties with the card's, and the names of the operators in the graph."""
    try:
        properties, operators = dict(_metadata_props(data)), _operators(data)
    except (IndexError, KeyError, ValueError):
        raise ModelFileError(f'{path} is not a complete ONNX file (truncated or not ONNX); '
                             'copy or export it again') from None
    if METADATA_KEY not in properties:
        raise ModelFileError(f'{path} has no model card (metadata "{METADATA_KEY}"); export it '
                             'with "dense-perception export", which writes one')
    return properties, operators


# A protobuf message is a flat list of fields, and one that is of no interest is skipped by its
# length. A robot then needs no onnx package to read a card. Numbers of ModelProto, GraphProto and
# NodeProto:
_METADATA_PROPS_FIELD = 14
_GRAPH_FIELD = 7
_NODE_FIELD = 1
_OPERATOR_FIELD = 4


def _metadata_props(data: bytes):
    """Yield (key, value) of ModelProto.metadata_props.

    :raises ValueError, IndexError: not a complete ModelProto.
    """
    seen_graph = False
    for number, payload in _fields(data):
        seen_graph |= number == _GRAPH_FIELD
        if number == _METADATA_PROPS_FIELD:
            entry = dict(_fields(payload))
            yield bytes(entry[1]).decode(), bytes(entry[2]).decode()
    if not seen_graph:
        raise ValueError('no graph')


def _operators(data: bytes) -> set[str]:
    """Names of the operators in a ModelProto's graph.

    :raises ValueError, IndexError: not a complete ModelProto.
    """
    return {bytes(name).decode()
            for graph_number, graph in _fields(data) if graph_number == _GRAPH_FIELD
            for node_number, node in _fields(graph) if node_number == _NODE_FIELD
            for number, name in _fields(node) if number == _OPERATOR_FIELD}


def _fields(data: bytes | memoryview):
    """Yield (field number, payload) of the length-delimited fields of one protobuf message."""
    view, at, end = memoryview(data), 0, len(data)
    while at < end:
        tag, at = _varint(view, at)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == 0:
            _, at = _varint(view, at)
        elif wire_type == 2:
            length, at = _varint(view, at)
            if at + length > end:
                raise ValueError('truncated')
            yield number, view[at:at + length]
            at += length
        elif wire_type in (1, 5):
            at += 8 if wire_type == 1 else 4
        else:
            raise ValueError(f'wire type {wire_type}')
    if at != end:
        raise ValueError('truncated')


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError('varint too long')
