package io.atoll.core.zone;

/** What attaching to a zone file answers; the same names and numbers as {@code ATOLL_ATTACH_*}. */
public enum AttachResult {
    /** The zone can be used. */
    OK("the zone can be used"),
    /** Being created: try again. */
    AWAIT_READY("the zone is being created"),
    /** Not a zone file. */
    BAD_MAGIC("not a zone file"),
    /** Made by a release with another major or minor version of the layout. */
    VERSION_MISMATCH("made by a release with another version of the layout"),
    /** Same version, other fingerprint: a build of something else. */
    LAYOUT_MISMATCH("made by another build of the same version"),
    /** Shorter than its header, or than its header says. */
    TRUNCATED("the file is too short"),
    /** A section or table lies outside the file, or overlaps the header. */
    OUT_OF_BOUNDS("a section or table lies outside the file");

    private final String text;

    AttachResult(String text) {
        this.text = text;
    }

    /** In words. */
    public String text() {
        return text;
    }
}
