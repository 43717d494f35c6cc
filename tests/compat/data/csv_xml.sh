#!/bin/bash
# xmllint, xsltproc, xmlstarlet: 20,000 elements parsed, validated, transformed, streamed.
# packages: libxml2-utils xsltproc xmlstarlet
. "${0%/*}/../compare.sh"
need xmllint xsltproc xmlstarlet

work() {
    { echo '<list>'; seq 20000 | sed 's|.*|<item n="&" k="k&"><name>name &</name><![CDATA[<&>]]></item>|'; echo '</list>'; } >list.xml
    xmllint --format list.xml | cksum
    xmllint --stream list.xml
    xmllint --xpath 'sum(//item[@n mod 7 = 0]/@n)' list.xml
    xmllint --c14n list.xml | cksum
    cat >list.xsl <<'END'
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
<xsl:output method="text"/><xsl:key name="k" match="item" use="@k"/>
<xsl:template match="/list"><xsl:for-each select="item[@n &lt; 300]"><xsl:sort select="name" order="descending"/>
<xsl:value-of select="concat(@n, ':', translate(name, 'n', 'N'), ';', key('k', concat('k', @n + 1))/name)"/></xsl:for-each></xsl:template>
</xsl:stylesheet>
END
    xsltproc list.xsl list.xml | cksum
    xmlstarlet sel -t -m '//item[@n > 19990]' -v name -n list.xml
    xmlstarlet ed -u '//item[@n=5]/name' -v changed -d '//item[@n>10]' list.xml
    cat >list.dtd <<<'<!ELEMENT list (item*)><!ELEMENT item (#PCDATA|name)*><!ELEMENT name (#PCDATA)><!ATTLIST item n CDATA #REQUIRED>'
    status xmllint --noout --dtdvalid list.dtd list.xml 2>&1 | tail -n 2
    status xmllint --noout - <<<'<a><b></a>'
}
compare work
