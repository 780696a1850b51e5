"""What commands may write to."""

import pytest

from xraisim.core.errors import UserError
from xraisim.files.outputs import claim, claim_picture


@pytest.fixture
def there(tmp_path):
    path = tmp_path / "there.h5"
    path.write_text("work")
    return path


def test_what_is_there_is_kept_unless_told_otherwise(there, tmp_path):
    claim(tmp_path / "new.h5", [there], replace=False)
    with pytest.raises(UserError, match=r"there\.h5 is there already; .*--force"):
        claim(there, replace=False)
    with pytest.raises(UserError, match="already; go on with --resume, write elsewhere"):
        claim(there, replace=False, advice="go on with --resume, ")
    claim(there, replace=True)


def test_an_input_is_never_replaced(there, tmp_path):
    link = tmp_path / "link.h5"
    link.symlink_to(there)
    for out in (there, link):
        with pytest.raises(UserError, match="is what is read"):
            claim(out, [None, there], replace=True)


def test_a_directory_is_free_unless_it_holds_work(tmp_path):
    claim(tmp_path, replace=False)
    (tmp_path / "notes.txt").touch()
    claim(tmp_path, replace=False)
    (tmp_path / "result.json").touch()
    with pytest.raises(UserError, match="is there already"):
        claim(tmp_path, replace=False)


def test_a_page_takes_the_place_of_a_page_alone(there, tmp_path):
    page = tmp_path / "page.html"
    page.touch()
    claim_picture(page, [there])
    with pytest.raises(UserError, match="is there already"):
        claim_picture(there)
