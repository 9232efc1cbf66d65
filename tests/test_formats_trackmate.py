import csv
import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from lxml import etree
from random_forests import assert_same, forests
from rich_forests import differing, rich
from zoo import ZOO, paint

from lineage.detections import Detections
from lineage.forest import Forest
from lineage.formats import geff, trackmate
from lineage.formats.outlines import outlines

relaxed = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def spot(number, t, y=1.0, x=2.0, more="", text=""):
    facts = f'POSITION_X="{x}" POSITION_Y="{y}" POSITION_Z="0.0" POSITION_T="{t}.0" FRAME="{t}" QUALITY="7.5" {more}'
    return t, f'<Spot ID="{number}" name="ID{number}" {facts}>{text}</Spot>'


def edge(source, target, more='LINK_COST="1.5"'):
    return f'<Edge SPOT_SOURCE_ID="{source}" SPOT_TARGET_ID="{target}" {more}/>'


def small(spots, tracks=(), shown=None, *, head="", units='spatialunits="pixel" timeunits="frame"', image='nslices="1"', features=""):
    """A TrackMate file from its spots and its tracks, each a text of edges."""
    frames = "".join(f'<SpotsInFrame frame="{t}">{text}</SpotsInFrame>' for t, text in spots)
    all_tracks = "".join(f'<Track name="Track_{k}" TRACK_ID="{k}">{edges}</Track>' for k, edges in enumerate(tracks))
    ids = "".join(f'<TrackID TRACK_ID="{k}"/>' for k in (range(len(tracks)) if shown is None else shown))
    declared = (
        f'<FeatureDeclarations><SpotFeatures><Feature feature="QUALITY" isint="false"/>{features}</SpotFeatures></FeatureDeclarations>'
    )
    model = f'{declared}<AllSpots nspots="9">{frames}</AllSpots><AllTracks>{all_tracks}</AllTracks><FilteredTracks>{ids}</FilteredTracks>'
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{head}<TrackMate version="7.11.1"><Model {units}>{model}</Model>'
        f"<Settings><ImageData {image}/></Settings></TrackMate>"
    )


def of(tmp_path, text, **options):
    (tmp_path / "a.xml").write_text(text, encoding="utf-8")
    return trackmate.read(tmp_path / "a.xml", **options)


def written(tmp_path, forest, **options):
    trackmate.write(forest, tmp_path / "a.xml", **options)
    return etree.parse(tmp_path / "a.xml", etree.XMLParser(resolve_entities=False, no_network=True)).getroot()


def test_a_file_made_by_hand(tmp_path):
    forest = of(tmp_path, small([spot(5, 0), spot(9, 1, 3, 4), spot(7, 1)], [edge(5, 9) + edge(7, 5)]))
    cells = forest.detections
    assert cells.position.tolist() == [[1, 2], [3, 4], [1, 2]]
    assert (forest.parent.tolist(), forest.link_cost.tolist()[1:]) == ([-1, 0, 0], [1.5, 1.5])
    assert {name: column.tolist() for name, column in cells.columns.items()} == {"source_id": [5, 9, 7], "QUALITY": [7.5, 7.5, 7.5]}
    assert (cells.scale, cells.interval, cells.n_frames) == ((1, 1), None, 2)


@pytest.mark.parametrize("name", ZOO)
def test_zoo_comes_back(tmp_path, name):
    written(tmp_path, ZOO[name])
    again = trackmate.read(tmp_path / "a.xml")
    assert_same(again, ZOO[name])
    assert again.detections.n_axes == ZOO[name].detections.n_axes


@relaxed
@given(forests())
def test_random_forests_come_back(tmp_path, forest):
    trackmate.write(forest, tmp_path / "a.xml")
    again, cells = trackmate.read(tmp_path / "a.xml"), forest.detections
    columns = {name: column for name, column in cells.columns.items() if column.dtype.kind != "U"}
    assert_same(again, replace(forest, detections=replace(cells, columns=columns)))
    assert (again.certificate, again.record) == (forest.certificate, forest.record)


@pytest.mark.parametrize("seed", range(25))
def test_what_is_lost_is_what_is_not_held(tmp_path, seed):
    forest = rich(np.random.default_rng(seed))
    trackmate.write(forest, tmp_path / "a.xml")
    again = trackmate.read(tmp_path / "a.xml")
    assert differing(forest, again).isdisjoint(trackmate.HOLDS)
    for name, column in again.detections.columns.items():
        if len(column):
            assert column.dtype == forest.detections.columns[name].dtype, name


@pytest.mark.parametrize("name", ZOO)
def test_what_trackmate_looks_for_is_there(tmp_path, name):
    forest = ZOO[name]
    root = written(tmp_path, forest)
    assert re.fullmatch(r"7\.\d+\.\d+", root.get("version"))
    assert [child.tag for child in root.find("Model")] == ["FeatureDeclarations", "AllSpots", "AllTracks", "FilteredTracks"]
    dimensions = {"NONE", "QUALITY", "INTENSITY", "POSITION", "VELOCITY", "LENGTH", "AREA", "TIME"}  # known to every version
    declared = {}
    for scope in ("SpotFeatures", "EdgeFeatures", "TrackFeatures"):
        features = root.findall(f"Model/FeatureDeclarations/{scope}/Feature")
        declared[scope] = {feature.get("feature") for feature in features}
        for feature in features:
            assert set(feature.attrib) == {"feature", "name", "shortname", "dimension", "isint"}
            assert feature.get("dimension") in dimensions
            assert feature.get("isint") in ("true", "false")
    spots = root.findall("Model/AllSpots/SpotsInFrame/Spot")
    assert int(root.find("Model/AllSpots").get("nspots")) == len(spots) == len(forest)
    ids = {int(found.get("ID")) for found in spots}
    assert len(ids) == len(spots)
    for found in spots:
        assert found.getparent().get("frame") == found.get("FRAME")
        assert float(found.get("RADIUS")) > 0
        assert set(found.attrib) - {"ID", "name", "ROI_N_POINTS"} <= declared["SpotFeatures"]
        assert all(np.isfinite(float(value)) for key, value in found.attrib.items() if key != "name")
    frames = [int(found.get("frame")) for found in root.findall("Model/AllSpots/SpotsInFrame")]
    assert frames == sorted(set(frames))
    tracks = root.findall("Model/AllTracks/Track")
    assert [track.get("TRACK_ID") for track in tracks] == [t.get("TRACK_ID") for t in root.findall("Model/FilteredTracks/TrackID")]
    for track in tracks:
        assert set(track.attrib) - {"name"} == declared["TrackFeatures"]
        edges = track.findall("Edge")
        assert all(set(found.attrib) <= declared["EdgeFeatures"] for found in edges)
        joined = {int(found.get(key)) for found in edges for key in ("SPOT_SOURCE_ID", "SPOT_TARGET_ID")}
        assert joined <= ids
        assert len(joined) == len(edges) + 1 == int(track.get("NUMBER_SPOTS"))
    assert sum(len(track) for track in tracks) == len(forest.child_rows)
    assert sum(int(track.get("NUMBER_SPLITS")) for track in tracks) == len(forest.divisions)
    assert sum(int(track.get("NUMBER_GAPS")) for track in tracks) == int((forest.gap > 0).sum())
    settings_of = root.find("Settings")
    for tag in ("BasicSettings", "InitialSpotFilter", "SpotFilterCollection", "TrackFilterCollection"):  # read without asking
        assert settings_of.find(tag) is not None
    assert [child.tag for child in settings_of.find("AnalyzerCollection")] == ["SpotAnalyzers", "EdgeAnalyzers", "TrackAnalyzers"]
    assert float(settings_of.find("DetectorSettings").get("RADIUS")) > 0
    assert set(settings_of.find("ImageData").attrib) == set(
        "filename folder width height nslices nframes pixelwidth pixelheight voxeldepth timeinterval".split()
    )
    assert root.find("GUIState").get("state") == "ConfigureViews"


def test_calibration(tmp_path):
    cells = replace(ZOO["gap"].detections, scale=(0.5, 0.25), interval=90.0, n_frames=7)
    root = written(tmp_path, replace(ZOO["gap"], detections=cells), image="film & co.tif")
    image = root.find("Settings/ImageData")
    assert [image.get(key) for key in ("pixelwidth", "pixelheight", "timeinterval", "nframes")] == ["0.25", "0.5", "90.0", "7"]
    assert image.get("filename") == "film & co.tif"
    model = root.find("Model")
    assert (model.get("spatialunits"), model.get("timeunits")) == ("micron", "sec")
    assert [found.get("POSITION_T") for found in root.iter("Spot")] == ["0.0", "90.0", "270.0", "360.0"]
    assert [found.get("EDGE_TIME") for found in root.iter("Edge")] == ["45.0", "180.0", "315.0"]
    text = (tmp_path / "a.xml").read_text(encoding="utf-8")
    plain = of(tmp_path, re.sub("<Cytolineage>.*</Cytolineage>\n", "", text))  # as TrackMate saves it
    assert (plain.detections.scale, plain.detections.interval, plain.detections.n_frames) == ((0.5, 0.25), 90.0, 7)
    np.testing.assert_array_equal(plain.parent, ZOO["gap"].parent)


def test_units_are_brought_to_micrometres_and_seconds(tmp_path):
    image = 'nslices="1" pixelwidth="500" pixelheight="250" timeinterval="2" nframes="9"'
    text = small([spot(0, 0, 100, 200, 'ROI_N_POINTS="3"', "0 1000 2000 0 -1 -2")], units='spatialunits="nm" timeunits="min"', image=image)
    cells = of(tmp_path, text).detections
    np.testing.assert_allclose(cells.position, [[0.1, 0.2]])
    np.testing.assert_allclose(cells.scale, (0.25, 0.5))
    assert (cells.interval, cells.n_frames) == (120.0, 9)
    np.testing.assert_allclose(np.array(cells.columns["roi"][0].split(), float), [0, 1, 2, 0, -0.001, -0.002])


def test_radius_from_the_area(tmp_path):
    cells = Detections([0, 0], [[1, 2], [1, 3]], [1, 2], {"area": np.array([np.pi * 9, np.nan])}, (2, 2))
    assert [float(found.get("RADIUS")) for found in written(tmp_path, Forest(cells, [-1, -1])).iter("Spot")] == [3, 10]
    ball = Detections([0], [[1, 2, 3]], [1], {"area": np.array([4 / 3 * np.pi * 8])})
    found = next(written(tmp_path, Forest(ball, [-1])).iter("Spot"))
    assert float(found.get("RADIUS")) == pytest.approx(2)


def test_features_that_are_there_are_not_made_up(tmp_path):
    columns = {"QUALITY": np.array([3.5]), "RADIUS": np.array([1.25]), "mean intensity": np.array([7]), "frame": np.array([1])}
    forest = Forest(Detections([0], [[1, 2]], [1], {**columns, "FRAME": np.array([8]), "": np.array([2.5])}), [-1])
    found = next(written(tmp_path, forest).iter("Spot"))
    assert (found.get("QUALITY"), found.get("RADIUS"), found.get("_mean_intensity"), found.get("FRAME")) == ("3.5", "1.25", "7", "0")
    assert_same(trackmate.read(tmp_path / "a.xml"), forest)


def test_names_and_ids_come_back(tmp_path):
    columns = {"name": np.array(["mother <1>", "ID3"]), "source_id": np.array([12, 3])}
    forest = Forest(Detections([0, 1], [[1, 2], [1, 2]], [1, 1], columns), [-1, 0])
    root = written(tmp_path, forest)
    assert [(found.get("ID"), found.get("name")) for found in root.iter("Spot")] == [("12", "mother <1>"), ("3", "ID3")]
    assert root.find("Model/AllTracks/Track/Edge").get("SPOT_SOURCE_ID") == "12"
    assert_same(trackmate.read(tmp_path / "a.xml"), forest)


def area_of(text):
    x, y = np.array(text.split(), float).reshape(-1, 2).T
    return abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def test_outlines_of_a_square():
    film = np.zeros((1, 9, 12), np.uint16)
    film[0, 2:6, 3:9] = 7  # rows 2..5, columns 3..8: 4 x 6 pixels around (3.5, 5.5)
    text = next(outlines(Detections([0], [[7.0, 2.75]], [7], scale=(2, 0.5)), film))
    x, y = np.array(text.split(), float).reshape(-1, 2).T
    assert (x.min(), x.max(), y.min(), y.max()) == (-1.5, 1.5, -4, 4)
    assert area_of(text) == pytest.approx(3 * 8, rel=0.05)


def test_outlines_are_those_of_the_masks(tmp_path):
    forest = ZOO["two divisions in a row"]
    film = paint(forest)
    before = film.copy()
    found = list(written(tmp_path, forest, labels=film).iter("Spot"))
    np.testing.assert_array_equal(film, before)
    for number, (t, label) in enumerate(zip(forest.detections.frame, forest.detections.label, strict=True)):
        pixels = np.sum(film[t] == label)
        assert int(found[number].get("ROI_N_POINTS")) * 2 == len(found[number].text.split()) >= 6
        assert abs(area_of(found[number].text) - pixels) < 0.15 * pixels
    again = trackmate.read(tmp_path / "a.xml")
    assert again.detections.columns["roi"].tolist() == [found.text for found in found]
    trackmate.write(again, tmp_path / "b.xml")
    assert_same(trackmate.read(tmp_path / "b.xml"), again)


def test_outlines_of_cells_at_the_border_in_pieces_with_holes_and_without_pixels():
    film = np.zeros((3, 12, 12), np.int64)
    film[0, :4, :4], film[0, 1, 1] = 5, 0  # a hole at the border
    film[0, 10, 10] = 5  # a piece apart
    film[0, 6, 6] = 10**9
    cells = Detections([0, 0, 0, 2], [[1.5, 1.5], [6, 6], [3, 3], [0, 0]], [5, 10**9, 4, 1])
    square, point, none, other = outlines(cells, film)
    assert area_of(square) == pytest.approx(16, rel=0.05)
    assert area_of(point) == pytest.approx(0.5)
    assert (none, other) == ("", "")


def test_three_axes_have_no_outlines(tmp_path):
    forest = ZOO["three dimensions"]
    root = written(tmp_path, forest, labels=paint(forest))
    assert all(found.get("ROI_N_POINTS") is None for found in root.iter("Spot"))
    assert root.find("Settings/ImageData").get("nslices") == str(paint(forest).shape[1])


def test_labels_that_do_not_fit(tmp_path):
    forest = ZOO["step"]
    with pytest.raises(ValueError, match=r"^the label film has 1 frames, but there are cells in frame 1$"):
        trackmate.write(forest, tmp_path / "a.xml", labels=paint(forest)[:1])
    with pytest.raises(ValueError, match=r"^the frames of the label film have shape \(2, 9, 9\), but the cells have 2 axes$"):
        trackmate.write(forest, tmp_path / "a.xml", labels=np.zeros((2, 2, 9, 9), int))
    assert list(tmp_path.iterdir()) == []


def test_spots_that_are_hidden_are_not_selected(tmp_path):
    spots = [spot(0, 0), spot(1, 1), spot(2, 0, more='VISIBILITY="0"'), spot(3, 1), spot(4, 0), spot(5, 1, more='VISIBILITY="0"')]
    forest = of(tmp_path, small(spots, [edge(0, 1), edge(4, 5)], shown=[1]))
    ids = [0, 2, 4, 1, 3, 5]
    order = [ids.index(number) for number in range(6)]
    assert forest.selected[order].tolist() == [False, False, False, True, True, True]
    assert forest.parent[order].tolist() == [-1, -1, -1, -1, -1, ids.index(4)]
    assert of(tmp_path, small(spots, [edge(0, 1)], shown=[]).replace("<FilteredTracks></FilteredTracks>", "")).selected.sum() == 4


@pytest.mark.parametrize(
    ("image", "z", "axes"), [('nslices="1"', 0, 2), ('nslices="1"', 3.5, 2), ('nslices="9"', 0, 3), ("", 0, 2), ("", (0, 1), 3)]
)
def test_two_or_three_axes(tmp_path, image, z, axes):
    low, high = z if isinstance(z, tuple) else (z, z)
    spots = [(t, text.replace('POSITION_Z="0.0"', f'POSITION_Z="{place}"')) for (t, text), place in ((spot(0, 0), low), (spot(1, 0), high))]
    assert of(tmp_path, small(spots, image=image)).detections.n_axes == axes


def test_whole_numbers_however_they_are_written(tmp_path):
    declared = '<Feature feature="N" isint="true"/><Feature feature="M" isint="true"/>'
    columns = of(
        tmp_path, small([spot(0, 0, more='N="-3" M="2.0"'), spot(1, 0, more='N="4" M="7.0"')], features=declared)
    ).detections.columns
    assert (columns["N"].tolist(), columns["N"].dtype, columns["M"].tolist(), columns["M"].dtype) == ([-3, 4], int, [2, 7], int)


def test_the_nearer_of_two_parents_is_kept_on_demand(tmp_path):
    text = small([spot(10, 0), spot(11, 0, 9), spot(12, 1, 8)], [edge(10, 12) + edge(11, 12)])
    assert of(tmp_path, text, merges="keep-nearest").parent.tolist() == [-1, -1, 1]
    message = 'spot 12 has two parents, 10 and 11: lineages do not merge (merges="keep-nearest" keeps the nearer one)'
    with pytest.raises(ValueError, match=f"^{re.escape(f'{tmp_path}/a.xml is no readable TrackMate file: {message}')}$"):
        of(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (small([spot(0, 0)], head='<!DOCTYPE a [<!ENTITY b "c">]>'), "it declares a document type or entities, which are refused"),
        (small([spot(0, 0), spot(0, 1)]), "spot 0 occurs twice"),
        (small([spot(0, 0)], [edge(0, 8)]), "edge 0 -> 8 names a node that does not exist"),
        (small([spot(0, 0), spot(1, 0)], [edge(0, 1)]), "edge 0 -> 1 goes from frame 0 to frame 0: parents come earlier"),
        (small([spot(0, 0), spot(1, 1)], [edge(0, 1) + edge(1, 0)]), "edge 0 -> 1 occurs twice"),
        (small([spot(0, 0, "NaN")]), "row 0 (frame 0) has no finite position: [nan, 2.0]"),
        (small([spot(0, 0, "here")]), "attribute POSITION_Y is declared real, but could not convert string to float: 'here'"),
        (
            small([("-1", spot(0, 0)[1])]),
            "node 0 (counted from 0) has frame -1.0, which is no whole number from 0 to 2147483647",
        ),
        (small([spot(0, 0, more='ROI_N_POINTS="4"', text="1 2 3")]), "spot 0 declares 4 outline points, but gives 3 coordinates"),
        (small([spot(0, 0, more='ROI_N_POINTS="1"', text="1 inf")]), "spot 0 has an outline that is not finite"),
        (small([spot(0, 0)])[:-60], None),
        ("<TrackMate/>", "it has no element Model"),
        ("", "no element found: line 1, column 0"),
    ],
)
def test_bad_files_are_one_line(tmp_path, text, message):
    start = re.escape(f"{tmp_path}/a.xml is no readable TrackMate file: ")
    end = re.escape(message) if message else r"[^\n]*: line 1, column [0-9]*"
    with pytest.raises(ValueError, match=f"^{start}{end}$"):
        of(tmp_path, text)


def test_attributes_that_lack(tmp_path):
    for text, name in ((small([(0, "<Spot/>")]), "ID"), (small([spot(0, 0)], ["<Edge/>"]), "SPOT_SOURCE_ID")):
        with pytest.raises(ValueError, match=f"^{re.escape(f'{tmp_path}/a.xml: an element lacks the attribute')} '{name}'$"):
            of(tmp_path, text)


@pytest.mark.parametrize("header", ['{"features": [1]}', '{"features": {"QUALITY": 3}}', '{"features": {"QUALITY": ["a", "what"]}}'])
def test_a_header_that_lies_is_refused(tmp_path, header):
    with pytest.raises(
        ValueError, match=f"^{re.escape(f'{tmp_path}/a.xml is no readable TrackMate file: its header')} says nothing of its features$"
    ):
        of(tmp_path, small([spot(0, 0)]).replace("<Model", f"<Cytolineage>{header}</Cytolineage><Model", 1))


def test_every_spot_with_features_of_its_own_does_not_fill_the_memory(tmp_path):
    spots = [spot(k, 0, more=f'F{k}="1"') for k in range(4000)]
    with pytest.raises(ValueError, match=r"it declares 4005 attributes for 4000 nodes, but gives only 24000 values$"):
        of(tmp_path, small(spots).replace(' POSITION_T="0.0"', ""))


def test_what_is_recognised(tmp_path):
    trackmate.write(ZOO["step"], tmp_path / "a.xml")
    assert trackmate.recognises(tmp_path / "a.xml")
    (tmp_path / "b.xml").write_text("<OME/>")
    assert not trackmate.recognises(tmp_path / "b.xml")


@pytest.mark.parametrize("name", ["two divisions in a row", "division over a gap", "unselected noise", "three dimensions"])
def test_another_reader_finds_the_same(tmp_path, name):
    from geff.convert import from_trackmate_xml_to_geff

    forest = ZOO[name]
    trackmate.write(forest, tmp_path / "a.xml", labels=paint(forest))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from_trackmate_xml_to_geff(tmp_path / "a.xml", tmp_path / "a.geff")
    again = geff.read(tmp_path / "a.geff")
    np.testing.assert_array_equal(again.detections.frame, forest.detections.frame)
    np.testing.assert_array_equal(again.detections.position, forest.detections.position)
    np.testing.assert_array_equal(again.parent, forest.parent)


REAL = {  # file: spots, edges, tracks, frames, spot features that are no place and no time
    "trackmate_tracks_with_gap_closing": (134, 128, 5, 50, 12),
    "trackmate_tracks_with_splitting": (134, 130, 3, 50, 12),
    "trackmate_tracks_with_splitting_merging": (183, 180, 4, 50, 12),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files_have_the_numbers_that_trackmate_counts(data, tmp_path, name):
    path = data / "formats" / "trackmate" / f"{name}.xml"
    n_spots, n_edges, n_tracks, n_frames, n_features = REAL[name]
    merged = name.endswith("merging")
    if merged:
        with pytest.raises(ValueError, match="spot 48612 has two parents, 48736 and 48738: lineages do not merge"):
            trackmate.read(path)
    forest = trackmate.read(path, merges="keep-nearest" if merged else "refuse")
    cells = forest.detections
    assert (len(forest), len(forest.child_rows) + merged, cells.n_frames, cells.n_axes) == (n_spots, n_edges, n_frames, 2)
    assert len(np.unique(forest.lineage_id[forest.child_rows])) == n_tracks
    assert len(set(cells.columns) - {"source_id"}) == n_features
    assert cells.columns["MANUAL_COLOR"].dtype == np.int64
    assert (cells.interval, cells.scale) == (1.0, (1.0, 1.0))
    row = {number: i for i, number in enumerate(cells.columns["source_id"].tolist())}
    with (path.parent / f"{name}_spots.csv").open(encoding="utf-8") as file:
        for line in csv.DictReader(file):
            i = row[int(line["id"])]
            assert cells.frame[i] == int(line["frame"])
            assert cells.position[i].tolist() == [float(line["position_y"]), float(line["position_x"])]
    lost = 0
    with (path.parent / f"{name}_edges.csv").open(encoding="utf-8") as file:
        for line in csv.DictReader(file):
            i, j = sorted((row[int(line["spot_source_id"])], row[int(line["spot_target_id"])]))
            lost += forest.parent[j] != i
            assert forest.parent[j] != i or forest.link_cost[j] == float(line["link_cost"])
    assert lost == merged
    trackmate.write(forest, tmp_path / "again.xml")
    assert_same(trackmate.read(tmp_path / "again.xml"), forest)
