"""The queue between capture and the rest: bounded in samples, with losses counted."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace
from typing import Literal

from streamer.audio import AudioBlock
from streamer.events import Notice


class RingBuffer:
    """Audio blocks and notices on their way from the capture thread, oldest first.

    Any number of threads may push and pop.  Notices keep their place among the
    blocks, take no room and are never dropped.  An instance serves one stream.

    Args:
        capacity: Samples held at most, 1 or more.
        on_full: ``drop`` gives up the oldest blocks, whole, to make room; the next
            block that comes out then says so in ``lost_before``.  Of a block larger
            than the capacity the newest samples are kept.  ``block`` makes
            :meth:`push` wait for room; a block larger than the capacity goes in
            alone.
    """

    def __init__(self, capacity: int, on_full: Literal["drop", "block"]) -> None:
        self._capacity = capacity
        self._on_full = on_full
        self._items: deque[AudioBlock | Notice] = deque()
        self._held = 0
        self._dropped = 0
        self._lost = 0
        self._closed = False
        self._changed = threading.Condition()

    @property
    def dropped(self) -> int:
        """Samples dropped so far for want of room."""
        with self._changed:
            return self._dropped

    @property
    def finished(self) -> bool:
        """Whether no item will come out any more: closed, and all was taken."""
        with self._changed:
            return self._closed and not self._items

    def push(self, item: AudioBlock | Notice) -> bool:
        """Add an item; when full, drop the oldest audio or wait, as ``on_full`` says.

        Returns:
            False if the item was not taken because the ring is closed, also when it
            was closed during the wait; the producer should end then.
        """
        with self._changed:
            if self._on_full == "block" and isinstance(item, AudioBlock):
                self._wait_for_room(len(item.samples))
            if self._closed:
                return False
            if isinstance(item, AudioBlock):
                item = self._with_room_made(item) if self._on_full == "drop" else item
                self._held += len(item.samples)
            self._items.append(item)
            self._changed.notify_all()
            return True

    def pop(self, timeout: float | None = None) -> AudioBlock | Notice | None:
        """Take the oldest item.

        Args:
            timeout: Seconds to wait for one; None waits as long as it takes.

        Returns:
            The item, or None when none came in time or, see :attr:`finished`, none
            will come.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed, timeout)
            if not self._items:
                return None
            item = self._items.popleft()
            if isinstance(item, AudioBlock):
                item = self._with_losses(item)
                self._changed.notify_all()
            return item

    def close(self) -> None:
        """Take nothing more; what is held still comes out.  May be called again."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """Close and throw away what is held, because nobody will take it."""
        with self._changed:
            self._items.clear()
            self._held = 0
            self._closed = True
            self._changed.notify_all()

    def _wait_for_room(self, size: int) -> None:
        self._changed.wait_for(
            lambda: self._closed or not self._held or self._held + size <= self._capacity
        )

    def _with_room_made(self, block: AudioBlock) -> AudioBlock:
        """Drop what must go and return the block, or as much of its end as fits."""
        excess = max(0, len(block.samples) - self._capacity)
        while self._held + len(block.samples) - excess > self._capacity:
            self._drop_oldest()
        self._dropped += excess
        return replace(
            block,
            samples=block.samples[excess:],
            start=block.start + excess,
            lost_before=block.lost_before + excess,
        )

    def _drop_oldest(self) -> None:
        index, block = next(
            (index, item) for index, item in enumerate(self._items) if isinstance(item, AudioBlock)
        )
        del self._items[index]
        self._held -= len(block.samples)
        self._dropped += len(block.samples)
        self._lost += block.lost_before + len(block.samples)

    def _with_losses(self, block: AudioBlock) -> AudioBlock:
        """Give a block that leaves the losses of those dropped before it."""
        self._held -= len(block.samples)
        lost, self._lost = self._lost, 0
        return replace(block, lost_before=block.lost_before + lost)
