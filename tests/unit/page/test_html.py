"""Elements of HTML that are written in parts."""

import weakref

from otel_ha.serve.page.html import Element, element, filled, hole


def test_parts_stand_in_the_place_of_the_hole():
    outline = element("main", element("p", "before <slot></slot>"), hole(), element("p", "after"))
    page = filled(outline, [element("b", "1"), "<i>2</i>"])
    assert page == "<main><p>before &lt;slot&gt;&lt;/slot&gt;</p><b>1</b><i>2</i><p>after</p></main>"


def test_an_element_without_a_hole_is_written_as_it_is():
    assert filled(element("p", "text"), ()) == "<p>text</p>"


class _Part(Element):
    """An element that can be referred to weakly."""


def test_each_part_is_forgotten_before_the_one_after_the_next_is_made():
    made: list[weakref.ref] = []
    living: list[int] = []

    def parts():
        for _ in range(10):
            living.append(sum(each() is not None for each in made))
            part = _Part("p")
            made.append(weakref.ref(part))
            yield part

    filled(element("main", hole()), parts())
    assert max(living) <= 1
