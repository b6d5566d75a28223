//! What HTML's parser does with an element, by its name: a table of the rules of the standard, section 13.2.6.

/// Rules that hold for an element, as a set.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Rules(u16);

impl Rules {
    /// It has no content and no end tag.
    pub(super) const VOID: Self = Self(1);
    /// It marks up text: an end tag in the wrong order makes the parser copy it.
    pub(super) const FORMATTING: Self = Self(1 << 1);
    /// “Special” in the standard: an end tag of a plain inline element doesn't reach beyond it.
    pub(super) const SPECIAL: Self = Self(1 << 2);
    /// Its start tag ends a paragraph.
    pub(super) const ENDS_PARAGRAPH: Self = Self(1 << 3);
    /// Its end tag may be left out.
    pub(super) const OPTIONAL_END: Self = Self(1 << 4);
    /// End tags don't reach beyond it.
    pub(super) const SCOPE: Self = Self(1 << 5);
    /// It may stand in `<head>`.
    pub(super) const HEAD: Self = Self(1 << 6);
    /// It belongs in a table.
    pub(super) const TABLE_PART: Self = Self(1 << 7);
    /// `h1` to `h6`
    pub(super) const HEADING: Self = Self(1 << 8);
    /// Within a drawing or a formula it ends that.
    pub(super) const BREAKS_OUT: Self = Self(1 << 9);

    /// Whether one of these rules holds.
    pub(super) const fn has(self, rule: Self) -> bool {
        self.0 & rule.0 != 0
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Whether an element has no content and no end tag, by its name in lower case.
pub(super) fn is_void(name: &[u8]) -> bool {
    rules_of(name).has(Rules::VOID)
}

/// The rules of an element by its name in lower case.
pub(super) fn rules_of(name: &[u8]) -> Rules {
    use Rules as R;
    const BLOCK: Rules = R::SPECIAL.and(R::ENDS_PARAGRAPH);
    match name {
        b"div" | b"ol" | b"ul" | b"dl" | b"pre" | b"center" | b"menu" => BLOCK.and(R::BREAKS_OUT),
        b"a" | b"font" => R::FORMATTING,
        b"b" | b"big" | b"code" | b"em" | b"i" | b"nobr" | b"s" | b"small" | b"strike" | b"strong" | b"tt" | b"u" => {
            R::FORMATTING.and(R::BREAKS_OUT)
        }
        b"span" | b"sub" | b"sup" | b"ruby" | b"var" => R::BREAKS_OUT,
        b"p" | b"li" | b"dd" | b"dt" => BLOCK.and(R::OPTIONAL_END).and(R::BREAKS_OUT),
        b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" => BLOCK.and(R::HEADING).and(R::BREAKS_OUT),
        b"img" | b"br" | b"embed" => R::VOID.and(R::SPECIAL).and(R::BREAKS_OUT),
        b"hr" => BLOCK.and(R::VOID).and(R::BREAKS_OUT),
        b"meta" => R::VOID.and(R::SPECIAL).and(R::HEAD).and(R::BREAKS_OUT),
        b"link" | b"base" | b"basefont" | b"bgsound" => R::VOID.and(R::SPECIAL).and(R::HEAD),
        b"area" | b"input" | b"keygen" | b"param" | b"source" | b"track" | b"wbr" => R::VOID.and(R::SPECIAL),
        b"col" => R::VOID.and(R::SPECIAL).and(R::TABLE_PART),
        b"address" | b"article" | b"aside" | b"blockquote" | b"details" | b"dialog" | b"dir" | b"fieldset"
        | b"figcaption" | b"figure" | b"footer" | b"form" | b"header" | b"hgroup" | b"listing" | b"main" | b"nav"
        | b"plaintext" | b"search" | b"section" | b"summary" | b"xmp" => BLOCK,
        b"table" => BLOCK.and(R::SCOPE).and(R::BREAKS_OUT),
        b"td" | b"th" | b"caption" => R::SPECIAL.and(R::SCOPE).and(R::OPTIONAL_END).and(R::TABLE_PART),
        b"tr" | b"tbody" | b"thead" | b"tfoot" | b"colgroup" => R::SPECIAL.and(R::OPTIONAL_END).and(R::TABLE_PART),
        b"html" => R::SPECIAL.and(R::SCOPE).and(R::OPTIONAL_END),
        b"head" | b"body" => R::SPECIAL.and(R::OPTIONAL_END).and(R::BREAKS_OUT),
        b"title" | b"style" | b"script" | b"noscript" | b"noframes" => R::SPECIAL.and(R::HEAD),
        b"template" => R::SPECIAL.and(R::SCOPE).and(R::HEAD),
        b"applet" | b"marquee" | b"object" => R::SPECIAL.and(R::SCOPE),
        b"button" | b"iframe" | b"noembed" | b"select" | b"textarea" => R::SPECIAL,
        b"option" | b"optgroup" | b"rb" | b"rp" | b"rt" | b"rtc" => R::OPTIONAL_END,
        _ => Rules::default(),
    }
}
