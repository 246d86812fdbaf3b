"""All that the scripts of the widgets need, as files."""

from __future__ import annotations

from genclust.book.widgets import maps, networks, packing, stills


def files() -> dict[str, bytes]:
    """Scripts of numbers and still pictures, by their names; the same from the same models and records."""
    gumbel, gmvae, cagem = networks.gumbel_writer(), networks.gmvae_writer(), networks.cagem_writer()
    numbers = {
        "gumbel-reader": networks.gumbel_reader(gumbel),
        "gumbel-writer": gumbel.packed(),
        "gmvae-writer": gmvae.packed(),
        "cagem-writer": cagem.packed(),
        "formation": maps.formation(),
        "plane": maps.plane(),
    }
    scripts = {f"{name}.js": packing.as_script(name, content).encode() for name, content in numbers.items()}
    return scripts | stills.pictures({"Gumbel-softmax": gumbel, "GMVAE": gmvae, "CaGeM": cagem})
